# The release build, in build/, and all tests.
. "$(dirname "$0")/../lib.sh"
build_preset release build
run_ctest build
