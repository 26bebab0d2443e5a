# The checkers and the runner of tests on what has known faults.
. "$(dirname "$0")/../lib.sh"

folder=build/ci/selftest
rm -rf "$folder"
mkdir -p "$folder"
passed=0 failed=0

# expect STATUS TEXT COMMAND ...: the command's exit status (0, or 1 for any other) and a part of its output.
expect() {
    local wanted=$1 text=$2 status=0
    shift 2
    "$@" >"$folder/output" 2>&1 </dev/null || status=1
    if [ $status = "$wanted" ] && { [ -z "$text" ] || grep -qF -- "$text" "$folder/output"; }; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$*: status $status, wanted $wanted and '$text', got:"
        cat "$folder/output"
    fi
}

printf 'int  x;\n' >"$folder/bad.c"
printf 'int x;\n' >"$folder/good.c"
printf 'kernel void f(global float *x) {\n    private float *y = g( x );\n}\n' >"$folder/bad.cl"
printf 'kernel void f(global float *x) {\n    private float *y = g(x);\n}\n' >"$folder/good.cl"
expect 1 '-int  x;' bash ci/format.sh --check "$folder/bad.c"
expect 1 '+    private float *y = g(x);' bash ci/format.sh --check "$folder/bad.cl"
expect 0 '' bash ci/format.sh --check "$folder/good.c" "$folder/good.cl"

# ctest with no test, with one that fails, with one that passes
mkdir -p "$folder/none" "$folder/one" "$folder/two"
echo >"$folder/none/CTestTestfile.cmake"
echo 'add_test(good true)' >"$folder/one/CTestTestfile.cmake"
printf 'add_test(good true)\nadd_test(bad false)\n' >"$folder/two/CTestTestfile.cmake"
expect 1 '0 passed, 1 failed: no test was found' run_ctest "$folder/none"
expect 0 '1 passed, 0 failed' run_ctest "$folder/one"
expect 1 '1 passed, 1 failed' run_ctest "$folder/two"

expect 1 "no part 'nothing'" bash ci/test.sh --only nothing
expect 1 "unknown argument '--fast'" bash ci/test.sh --fast
expect 1 '--sample goes with --full or --only' bash ci/test.sh --sample
expect 1 "unknown argument '--fast'" bash ci/setup.sh --fast
expect 0 'asan' bash ci/test.sh --list
expect 0 '' bash ci/setup.sh

/usr/bin/python3 ci/selftest.py >"$folder/sources" || failed=$((failed + 1))
cat "$folder/sources"
passed=$((passed + $(tail -n 1 "$folder/sources" | cut -d ' ' -f 1)))
echo "$passed passed, $failed failed"
[ $failed = 0 ]
