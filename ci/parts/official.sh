# The official ONNX operator tests (from PyPI's onnx) on one core, all cores, and PoCL's threaded device.
. "$(dirname "$0")/../lib.sh"
ensure_venv
build_preset release build
cases=build/onnx-tests
if [ "$cases/cases.txt" -ot "$venv/requirements.txt" ]; then
    rm -rf "$cases"
    "$venv/bin/python" tests/conformance/write_onnx_tests.py "$cases"
fi
export CLEAVE_POCL_THREADED=1
threaded=$(build/cleave devices | awk '/pthread/ { print $1; exit }')
[ -n "$threaded" ] || die "cleave devices does not list PoCL's threaded device"

# A sample is one in so many of the cases; of all, 700 must pass on each device.
enough=700 choice=()
if [ "${CLEAVE_TEST_SAMPLE:-1}" != 1 ]; then
    choice=(--sample $(($(wc -l <"$cases/cases.txt") / CLEAVE_TEST_SAMPLE)) --seed "${CLEAVE_TEST_SEED:-0}")
    enough=1
fi

passed=0 failed=0
for device in core:0 cpu "$threaded"; do
    log=build/onnx-tests/${device/:/-}.log
    build/tests/conformance/onnx_cases "$cases" --devices "$device" "${choice[@]}" >"$log" || true
    cat "$log"
    # "core:0: 1153 passed, 0 failed, 731 skipped"
    read -r good bad < <(tail -n 1 "$log" | sed -n 's/^[^ ]*: \([0-9]*\) passed, \([0-9]*\) failed.*/\1 \2/p') ||
        { good=0 bad=1 && echo "FAILED: the runner did not finish on $device"; }
    if [ "$good" -lt "$enough" ]; then
        echo "FAILED: $good cases pass on $device, $enough are wanted"
        bad=$((bad + 1))
    fi
    passed=$((passed + good)) failed=$((failed + bad))
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
