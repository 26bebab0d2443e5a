# What runs kernels, once more with PoCL compiling for processors with AVX2 and no more.
. "$(dirname "$0")/../lib.sh"
fewer_cases
build_preset release build
mkdir -p build/avx2
kept=$(kept_folder avx2)
export POCL_KERNELLIB_NAME=avx2 POCL_CACHE_DIR=$kept/pocl CLEAVE_CACHE_DIR=$kept/cleave
build/cleave devices | tee build/avx2/devices.log
grep -q -- '-haswell-' build/avx2/devices.log || die "PoCL does not compile for AVX2"
plans='|exec_plans'
[ "${CLEAVE_TEST_SAMPLE:-1}" = 1 ] || plans= # of a sample kernels alone, and the executor
run_ctest build --tests-regex "^(conformance_|exec_run$plans)"
