# Address, leak and undefined behaviour sanitizers.
. "$(dirname "$0")/../lib.sh"
fewer_cases
build_preset asan build-asan
without=()
[ "${CLEAVE_TEST_SAMPLE:-1}" = 1 ] || without=(--exclude-regex '^(calibrate|property_promises)$') # of a sample: take long
run_ctest build-asan "${without[@]}"
