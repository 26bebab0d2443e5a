# The release build, in build/, and all tests; of a sample a quarter of their cases where there are many.
. "$(dirname "$0")/../lib.sh"
[ "${CLEAVE_TEST_SAMPLE:-1}" = 1 ] || export CLEAVE_TEST_FEWER=4
build_preset release build
run_ctest build
