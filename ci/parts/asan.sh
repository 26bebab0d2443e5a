# Address, leak and undefined behaviour sanitizers.
. "$(dirname "$0")/../lib.sh"
export LSAN_OPTIONS="suppressions=$PWD/ci/lsan.supp:print_suppressions=0"
build_preset asan build-asan
run_ctest build-asan
