# Thread sanitizer: everything but what has no threads (the address sanitizer's part runs that too).
. "$(dirname "$0")/../lib.sh"
build_preset tsan build-tsan
run_ctest build-tsan --exclude-regex '^(golden_|fuzz_|property_|unit_(partition|scheduler|machine|report|workload)_)'
