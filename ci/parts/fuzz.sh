# Each fuzzer for CLEAVE_FUZZ_SECONDS (60; in a sample 6, models, arrays and pictures 15) under
# address and undefined behaviour sanitizers, from its checked-in corpus, as many at once as there are
# cores; the seed is the commit's, so that another run of it goes the same way; what is found lies in
# build-fuzz/found/.
. "$(dirname "$0")/../lib.sh"
most=60 others=60
[ "${CLEAVE_TEST_SAMPLE:-1}" = 1 ] || most=15 others=6
seconds_for() {
    case "$1" in
    fuzz_onnx_* | fuzz_io_*) echo "${CLEAVE_FUZZ_SECONDS:-$most}" ;;
    *) echo "${CLEAVE_FUZZ_SECONDS:-$others}" ;;
    esac
}
cmake -S . -B build-fuzz -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCLEAVE_WERROR=ON \
    -DCMAKE_C_FLAGS_RELWITHDEBINFO="-O1 -DNDEBUG" -DCLEAVE_FUZZERS=ON -DCLEAVE_SANITIZE=address,undefined
cmake --build build-fuzz --parallel "$jobs" --target fuzzers
mkdir -p build-fuzz/found

# One fuzzer; its corpus grows in build-fuzz, not in the sources.
fuzz() {
    local program=$1 name corpus
    name=$(basename "$program")
    corpus=$(cat "$program.corpus")
    mkdir -p "build-fuzz/grown/$name"
    "$program" -max_total_time="$(seconds_for "$name")" -timeout=20 -rss_limit_mb=2048 -max_len=65536 \
        -seed=$((${CLEAVE_TEST_SEED:-0} & 0x7fffffff)) -print_final_stats=1 -verbosity=1 -artifact_prefix="build-fuzz/found/$name-" \
        "build-fuzz/grown/$name" "$corpus" >"build-fuzz/$name.log" 2>&1
}

passed=0 failed=0
finish() {
    if wait "$1"; then
        passed=$((passed + 1))
        grep -E 'number_of_executed_units' "build-fuzz/$2.log" | sed "s/^/$2: /"
    else
        failed=$((failed + 1))
        echo "$2 failed:"
        tail -n 60 "build-fuzz/$2.log"
    fi
}
running=() names=()
for program in build-fuzz/tests/fuzz/fuzz_*; do
    case "$program" in *.corpus) continue ;; esac
    fuzz "$program" &
    running+=($!) names+=("$(basename "$program")")
    if [ ${#running[@]} -ge "$jobs" ]; then
        finish "${running[0]}" "${names[0]}"
        running=("${running[@]:1}") names=("${names[@]:1}")
    fi
done
for i in "${!running[@]}"; do
    finish "${running[$i]}" "${names[$i]}"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
