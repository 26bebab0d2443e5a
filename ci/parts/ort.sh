# The networks of tests/support/zoo.py, those of families.py and the shipped model against ONNX Runtime: small ones on one core,
# all cores and PoCL's threaded device; in full size on all cores, unless a sample is wanted.
. "$(dirname "$0")/../lib.sh"
ensure_venv
build_preset release build
export CLEAVE_POCL_THREADED=1
threaded=$(build/cleave devices | awk '/pthread/ { print $1; exit }')
[ -n "$threaded" ] || die "cleave devices does not list PoCL's threaded device"

passed=0 failed=0
# compare DEVICES SIZE [FLAG ...]: within 1e-4, in full size without --exact within 1e-3
compare() {
    local devices=$1 size=$2 good bad
    shift 2
    local log=build/ort-${devices/:/-}-$size$*.log
    echo "== $devices, $size $*"
    "$venv/bin/python" tests/conformance/compare_ort.py --cleave build/cleave --devices "$devices" --size "$size" "$@" >"$log" || true
    cat "$log"
    # "9 passed, 0 failed"
    read -r good _ bad _ < <(tail -n 1 "$log" | grep -aE '^[0-9]+ passed, [0-9]+ failed$') ||
        { good=0 bad=1 && echo "FAILED: the comparison did not finish on $devices"; }
    passed=$((passed + good)) failed=$((failed + bad))
}
compare core:0 small
compare cpu small
compare cpu small --exact
compare "$threaded" small
compare core:0 small --families
compare cpu small --families
if [ "${CLEAVE_TEST_SAMPLE:-1}" = 1 ]; then
    compare cpu full --rtol 1e-3
    compare cpu full --exact
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
