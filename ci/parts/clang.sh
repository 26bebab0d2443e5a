# The second compiler.
. "$(dirname "$0")/../lib.sh"
fewer_cases
build build-clang -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Release -DCLEAVE_WERROR=ON
without=()
[ "${CLEAVE_TEST_SAMPLE:-1}" = 1 ] || without=(--exclude-regex '^calibrate$') # of a sample: measures for long, alone
run_ctest build-clang $(third_of_tests) "${without[@]}"
