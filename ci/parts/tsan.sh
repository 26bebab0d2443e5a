# Thread sanitizer: everything but what has no threads, and measured costs (the address sanitizer's part runs those too).
. "$(dirname "$0")/../lib.sh"
build_preset tsan build-tsan
run_ctest build-tsan --exclude-regex '^(golden_|fuzz_|property_|unit_(partition|scheduler|machine|report|workload)_|api_plan(ning)?$|plan$|calibrate$)'
