# The release build, in build/, and all tests; of a sample a third of their cases where there are many.
. "$(dirname "$0")/../lib.sh"
[ "${CLEAVE_TEST_SAMPLE:-1}" = 1 ] || export CLEAVE_TEST_FEWER=3
build_preset release build
# What other work on the machine may spoil, as it measures, has another try.
ctest --test-dir build --output-on-failure --tests-regex '^calibrate$' --repeat until-pass:3
run_ctest build --exclude-regex '^calibrate$'
