# Every kernel on every platform: PoCL (by ctest), Intel's CPU runtime (from PyPI), Oclgrind with
# its checks for races and uninitialised memory, on one run a case.
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

on_platform pocl libpocl.so.2.10.0 "$conformance"
on_platform intel "$PWD/$venv/lib/libintelocl.so" "$conformance"
# Oclgrind 21.10 does not know the intrinsics (llvm.abs) that an optimiser introduces.
on_platform oclgrind /usr/lib/oclgrind/liboclgrind-rt-icd.so \
    env OCLGRIND_BUILD_OPTIONS=-cl-opt-disable OCLGRIND_DATA_RACES=1 OCLGRIND_UNINITIALIZED=1 "$conformance" --light
if grep -iE 'race|invalid (read|write)|uninitiali[sz]ed' build/icd/oclgrind.log; then
    failed=$((failed + 1))
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
