# Every kernel on platforms other than PoCL, which ctest covers: Intel's CPU runtime (from PyPI), and
# Oclgrind, which checks bounds and finds races between work-items, with one run a case. Then the
# shipped model through the executor on every unit of each platform, and of two at once, where all
# networks of tests/support/zoo.py run under every policy.
. "$(dirname "$0")/../lib.sh"
ensure_venv
build_preset release build
mkdir -p build/icd
pocl=$(cat /etc/OpenCL/vendors/pocl.icd)
conformance=build/tests/conformance/conformance
passed=0 failed=0

# check NAME COMMAND ...: runs it under the drivers of OCL_ICD_VENDORS, and keeps what it prints.
check() {
    local name=$1 begin=$SECONDS
    shift
    echo "== $name: $*"
    if "$@" 2>&1 | tee "build/icd/$name.log"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
    echo "== $name: $((SECONDS - begin)) s"
}

intel=$PWD/$venv/lib/libintelocl.so
cases=(--sample "${CLEAVE_TEST_SAMPLE:-1}" --seed "${CLEAVE_TEST_SEED:-1}")
CLEAVE_CACHE_DIR=$(kept_folder platforms)
export CLEAVE_CACHE_DIR CLEAVE_POCL_THREADED=1

OCL_ICD_VENDORS=$(icd_folder intel "$intel")
export OCL_ICD_VENDORS
check intel-kernels "$conformance" "${cases[@]}"
check intel-model verify_all_units

OCL_ICD_VENDORS=$(icd_folder both "$pocl" "$intel")
check both-model verify_all_units
check both-executor build/tests/exec/exec_run_test
check both-plans build/tests/exec/exec_plans_test 16
check both-delays build/tests/exec/exec_delays_test 14
"$venv/bin/python" tests/support/zoo.py --size small build/icd/zoo >/dev/null
check both-policies build/tests/api/api_policies --fewer "$(((${CLEAVE_TEST_SAMPLE:-1} + 1) / 2))" \
    --seed "${CLEAVE_TEST_SEED:-1}" build/icd/zoo/*.onnx
check both-faults build/tests/exec/exec_fault_test
CLEAVE_TEST_FEWER=${CLEAVE_TEST_SAMPLE:-1} check both-pipeline-faults build/tests/exec/exec_pipeline_fault_test
check both-sizes build/tests/unit_ocl_launch_sizes_test
grep -q '^-- cl:1' build/icd/both-model.log || die "the two platforms were not there at once"

# Oclgrind 21.10 does not know the intrinsics (llvm.abs) that an optimiser introduces. Its check for
# uninitialised memory crashes on some kernels of ours.
export OCLGRIND_BUILD_OPTIONS=-cl-opt-disable OCLGRIND_DATA_RACES=1
OCL_ICD_VENDORS=$(icd_folder oclgrind /usr/lib/oclgrind/liboclgrind-rt-icd.so)
check oclgrind-kernels "$conformance" --light "${cases[@]}"
check oclgrind-model verify_all_units
complaints='data race at|invalid (read|write)'
if grep -iE "$complaints" build/icd/oclgrind-*.log; then
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
