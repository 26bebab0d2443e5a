# Thread sanitizer.
. "$(dirname "$0")/../lib.sh"
build_preset tsan build-tsan
run_ctest build-tsan
