# Every kernel on other platforms than PoCL, which ctest covers: Intel's CPU runtime (from PyPI), and
# Oclgrind, which checks bounds and finds races between work-items, with one run a case.
. "$(dirname "$0")/../lib.sh"
ensure_venv
build_preset release build
conformance=build/tests/conformance/conformance
passed=0 failed=0

# on_platform NAME LIBRARY COMMAND ...: with this driver alone.
on_platform() {
    local name=$1 library=$2 folder=$PWD/build/icd/$1
    shift 2
    mkdir -p "$folder"
    echo "$library" >"$folder/$name.icd"
    echo "== $name: $*"
    if OCL_ICD_VENDORS=$folder/ CLEAVE_NO_CACHE=1 "$@" 2>&1 | tee "build/icd/$name.log"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
}

cases=(--sample "${CLEAVE_TEST_SAMPLE:-1}" --seed "${CLEAVE_TEST_SEED:-1}")
on_platform intel "$PWD/$venv/lib/libintelocl.so" "$conformance" "${cases[@]}"
# Oclgrind 21.10 does not know the intrinsics (llvm.abs) that an optimiser introduces. Its check for
# uninitialised memory crashes on some kernels of ours.
on_platform oclgrind /usr/lib/oclgrind/liboclgrind-rt-icd.so \
    env OCLGRIND_BUILD_OPTIONS=-cl-opt-disable OCLGRIND_DATA_RACES=1 "$conformance" --light "${cases[@]}"
complaints='data race at|invalid (read|write)'
if grep -iE "$complaints" build/icd/oclgrind.log; then
    failed=$((failed + 1))
fi

# And it does complain where there is reason to.
cat >build/icd/bad.cl <<'END'
kernel void bad(global int *x) {
    x[0] = get_global_id(0);
    x[8] = 1;
}
END
printf '%s\n' "$PWD/build/icd/bad.cl" bad '4 1 1' '1 1 1' '<size=32 fill=0>' >build/icd/bad.sim
oclgrind-kernel --data-races build/icd/bad.sim >build/icd/bad.log 2>&1 || true
for complaint in 'data race at' 'invalid write'; do
    if grep -qi "$complaint" build/icd/bad.log; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "Oclgrind does not report: $complaint"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
