# Plans, schedules and timelines to the byte as the golden files, whatever the compiler and its optimisation. In a sample:
# the shipped model, by the two pairs that differ most.
. "$(dirname "$0")/../lib.sh"
ensure_venv
"$venv/bin/python" tests/support/zoo.py --size small build/zoo-small
goldens="timelines networks" builds="gcc-0 gcc-3 clang-0 clang-3"
[ "${CLEAVE_TEST_SAMPLE:-1}" = 1 ] || goldens=timelines builds="gcc-0 clang-3"
passed=0 failed=0
for build in $builds; do
    compiler=${build%-*} level=${build#*-}
    folder=build/determinism/$build
    cmake -S . -B "$folder" -DCMAKE_C_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="-O$level"
    cmake --build "$folder" --parallel "$jobs" --target golden_timelines
    for golden in $goldens; do
        if "$folder/tests/golden/golden_timelines" "tests/golden/$golden"; then
            passed=$((passed + 1))
        else
            echo "$compiler -O$level differs from tests/golden/$golden"
            failed=$((failed + 1))
        fi
    done
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
