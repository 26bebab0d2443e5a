#!/usr/bin/env bash
# Sets up, builds, and runs the tests.
#
#     ci/test.sh                  what a change needs: checks, build, tests (PoCL only)
#     ci/test.sh --full           also the second compiler, sanitizers, loaders, platforms, fuzzers, ...
#     ci/test.sh --full --sample  the same with a seeded sample of the long sets, in under 15 minutes
#     ci/test.sh --only NAME      one part (may be repeated)
#     ci/test.sh --list           what parts there are
#
# Each part is a script, ci/parts/NAME.sh, that can be run by itself. Its output goes to
# build/ci/NAME.log; its last line of the form "N passed, N failed ..." is what it counted.
#
# In the environment of the parts: CLEAVE_TEST_FULL (1 with --full), CLEAVE_TEST_SAMPLE (N: about
# one in N of a long set; 1: all) and CLEAVE_TEST_SEED. Parts that run tests which another part runs
# in full give them CLEAVE_TEST_FEWER (tests/support/sample.h).
#
# Parts that share build/ run one after the other, and beside them, one after the other too, those
# that have build folders of their own (but for plain, to make both equally long): no part keeps all
# cores at work by itself.
. "$(dirname "$0")/lib.sh"

# part NAME LEVEL FOLDER DESCRIPTION; a `full` part runs with --full only, or when asked for by --only;
# FOLDER: `build` where the part uses build/, `own` where it uses none but its own
parts=()
part() { parts+=("$1|$2|$3|$4"); }
part check     quick build "formatting, layers, sizes, forbidden calls"
part selftest  quick build "the checkers find what they should"
part tests     quick build "release build, all tests"
part clang     full  own   "clang, warnings are errors, all tests"
part plain     full  build "plain cmake, without presets or ninja"
part asan      full  own   "address and undefined behaviour sanitizers"
part tsan      full  own   "thread sanitizer"
part avx2      full  build "kernels compiled for AVX2 alone"
part loaders   full  build "Khronos' OpenCL loader beside ocl-icd"
part platforms full  build "kernels on Intel's CPU runtime and on Oclgrind"
part golden    full  build "plans and timelines of networks, as they were"
part determinism full  build "plans and timelines the same from gcc and clang, -O0 and -O3"
part files     full  build "models and tensor files against the Python packages"
part official  full  build "the official ONNX operator tests"
part ort       full  build "networks against ONNX Runtime"
part fuzz      full  own   "each fuzzer for a minute"

usage() { sed -n '2,/^$/s/^# \{0,1\}//p' ci/test.sh | sed '/^Each part/,$d'; }

full=0 sample=${CLEAVE_TEST_SAMPLE:-1} only=()
while [ $# -gt 0 ]; do
    case "$1" in
    --full) full=1 ;;
    --sample) sample=10 ;;
    --only)
        [ $# -gt 1 ] || die "--only needs a name; --list prints them"
        shift
        only+=("$1")
        ;;
    --list)
        for entry in "${parts[@]}"; do
            IFS='|' read -r name level folder text <<<"$entry"
            printf '%-12s %-6s %s\n' "$name" "$level" "$text"
        done
        exit 0
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) die "unknown argument '$1'; --help tells what there is" ;;
    esac
    shift
done
[ "$sample" = 1 ] || [ "$full" = 1 ] || [ ${#only[@]} -gt 0 ] || die "--sample goes with --full or --only"

# The parts to run.
chosen=() needs_full=$full
for name in "${only[@]}"; do
    printf '%s\n' "${parts[@]}" | grep "^$name|" >/dev/null || die "no part '$name'; --list prints them"
done
for entry in "${parts[@]}"; do
    IFS='|' read -r name level folder text <<<"$entry"
    if [ ${#only[@]} -gt 0 ]; then
        [[ " ${only[*]} " == *" $name "* ]] || continue
        [ "$level" = quick ] || needs_full=1
    elif [ "$level" = full ] && [ "$full" = 0 ]; then
        continue
    fi
    chosen+=("$entry")
done

# Every commit gets another sample, and the same one each time.
commit=$(git rev-parse --short=7 HEAD 2>/dev/null || echo 0)
export CLEAVE_TEST_FULL=$full CLEAVE_TEST_SAMPLE=$sample
export CLEAVE_TEST_SEED=${CLEAVE_TEST_SEED:-$((16#$commit))}
[ "$sample" = 1 ] || echo "sample: about one in $sample, CLEAVE_TEST_SEED=$CLEAVE_TEST_SEED"

start=$SECONDS
if [ "$needs_full" = 1 ]; then ci/setup.sh --full; else ci/setup.sh; fi
mkdir -p build/ci
echo "set-up: $((SECONDS - start)) s"

# run NAME: a part; leaves "ok|FAILED SECONDS PASSED FAILED" in build/ci/NAME.result.
run() {
    local name=$1 log=build/ci/$1.log word=ok begin=$SECONDS counts good bad
    bash "ci/parts/$name.sh" >"$log" 2>&1 </dev/null || word=FAILED
    counts=$(grep -aE '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1) || counts=
    if [ -z "$counts" ]; then
        if [ "$word" = ok ]; then counts="1 passed, 0 failed"; else counts="0 passed, 1 failed"; fi
    fi
    read -r good _ bad _ <<<"$counts"
    # a part that failed counts as a failure, whatever it counted
    if [ "$word" = FAILED ] && [ "$bad" = 0 ]; then bad=1; fi
    if [ "$bad" != 0 ]; then word=FAILED; fi
    echo "$word $((SECONDS - begin)) $good $bad" >"build/ci/$name.result"
    # in one piece, as another part may end at the same time
    {
        describe "$name"
        if [ "$word" = FAILED ]; then printf '%s\n' "---- the end of $log" "$(tail -n 80 "$log")" ----; fi
    } >"build/ci/$name.said"
    cat "build/ci/$name.said"
}

# describe NAME: the line of a part that has run.
describe() {
    local word seconds good bad
    read -r word seconds good bad <"build/ci/$1.result"
    printf '%-11s %-6s %5d s  %s\n' "$1" "$word" "$seconds" "$good passed, $bad failed (${text_of[$1]})"
}

# run_those FOLDER: the chosen parts with this folder, in turn.
run_those() {
    local wanted=$1 entry name level folder text
    for entry in "${chosen[@]}"; do
        IFS='|' read -r name level folder text <<<"$entry"
        if [ "$folder" = "$wanted" ]; then run "$name"; fi
    done
}

declare -A text_of
for entry in "${chosen[@]}"; do
    IFS='|' read -r name level folder text <<<"$entry"
    text_of[$name]=$text
    rm -f "build/ci/$name.result"
done
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
run_those own &
run_those build
wait

echo
passed=0 failed=0
for entry in "${chosen[@]}"; do
    name=${entry%%|*}
    [ -f "build/ci/$name.result" ] || die "the part $name did not end"
    describe "$name"
    read -r _ _ good bad <"build/ci/$name.result"
    passed=$((passed + good)) failed=$((failed + bad))
done
echo "all parts: $((SECONDS - start)) s"
echo
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
