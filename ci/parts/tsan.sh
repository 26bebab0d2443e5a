# Thread sanitizer: everything but what has no threads, and measured costs (the address sanitizer's part runs those too).
. "$(dirname "$0")/../lib.sh"
fewer_cases
build_preset tsan build-tsan
without='golden_|fuzz_|property_|unit_(partition|scheduler|machine|report|workload)_|api_plan(ning)?$|plan$|calibrate$'
# of a sample also not what has threads only beside the point
[ "${CLEAVE_TEST_SAMPLE:-1}" = 1 ] || without="$without|conformance_|fault_|unit_(passes|exec_memory_plan)_|planning$|cli$"
run_ctest build-tsan --exclude-regex "^($without)"
