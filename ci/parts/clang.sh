# The second compiler.
. "$(dirname "$0")/../lib.sh"
build build-clang -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Release -DCLEAVE_WERROR=ON
run_ctest build-clang
