# Address, leak and undefined behaviour sanitizers.
. "$(dirname "$0")/../lib.sh"
fewer_cases
build_preset asan build-asan
run_ctest build-asan
