# Plans, schedules and timelines to the byte as the golden files, whatever the compiler and its optimisation.
. "$(dirname "$0")/../lib.sh"
ensure_venv
"$venv/bin/python" tests/support/zoo.py --size small build/zoo-small
passed=0 failed=0
for compiler in gcc clang; do
    for level in 0 3; do
        folder=build/determinism/$compiler-O$level
        cmake -S . -B "$folder" -DCMAKE_C_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS=-O$level
        cmake --build "$folder" --parallel "$jobs" --target golden_timelines
        for golden in timelines networks; do
            if "$folder/tests/golden/golden_timelines" "tests/golden/$golden"; then
                passed=$((passed + 1))
            else
                echo "$compiler -O$level differs from tests/golden/$golden"
                failed=$((failed + 1))
            fi
        done
    done
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
