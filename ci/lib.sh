# What the scripts in ci/ share. To be sourced; sets the working folder to the repository's root.
# Under pipefail, `COMMAND | grep -q` may fail where it finds something (the command is cut off): grep
# into /dev/null instead.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

jobs=$(nproc)
# Ninja where a build folder is made; one that is there keeps its generator.
export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}

die() {
    echo "$(basename "$0"): error: $*" >&2
    exit 1
}

# build FOLDER [CMAKE ARGUMENTS]: configures and builds everything.
build() {
    local folder=$1
    shift
    cmake -S . -B "$folder" "$@"
    cmake --build "$folder" --parallel "$jobs"
}

# build_preset NAME FOLDER
build_preset() {
    cmake --preset "$1"
    cmake --build "$2" --parallel "$jobs"
}

# run_ctest FOLDER [CTEST ARGUMENTS]: runs the tests; the last line is "N passed, N failed". Fails
# where one failed or none was found.
run_ctest() {
    local folder=$1 log status=0
    shift
    log=$folder/ctest-output.txt
    ctest --test-dir "$folder" --parallel "$jobs" --output-on-failure "$@" | tee "$log" || status=$?
    # "93% tests passed, 2 tests failed out of 30"
    awk '/tests passed, [0-9]+ tests failed out of [0-9]+/ {
             printf "%d passed, %d failed\n", $NF - $4, $4; found = $NF }
         END { if (!found) print "0 passed, 1 failed: no test was found"; exit !found }' "$log" || status=1
    return "$status"
}

# fewer_cases: tests of many cases try about one in CLEAVE_TEST_SAMPLE of them: for parts that run what
# the release build runs in full (tests/support/sample.h).
fewer_cases() { export CLEAVE_TEST_FEWER=${CLEAVE_TEST_SAMPLE:-1}; }

# third_of_tests: arguments for run_ctest that leave, of a sample, every third test; which, the seed says.
# For parts that run with another compiler or loader what the release build runs.
third_of_tests() {
    [ "${CLEAVE_TEST_SAMPLE:-1}" = 1 ] || echo "--tests-information $((${CLEAVE_TEST_SEED:-0} % 3 + 1)),,3"
}

# icd_folder NAME LIBRARY ...: a folder for OCL_ICD_VENDORS that shows these drivers alone.
icd_folder() {
    local folder=$PWD/build/icd/$1 library
    shift
    rm -rf "$folder"
    mkdir -p "$folder"
    for library in "$@"; do
        echo "$library" >"$folder/$(basename "$library" | sed 's/\.so.*//').icd"
    done
    echo "$folder/"
}

# kept_folder NAME: for caches of what is compiled another way than for everything else; kept from one
# run to the next beside the usual caches, as what is in these is found by content.
kept_folder() {
    local folder=${XDG_CACHE_HOME:-$HOME/.cache}/cleave-ci/$1
    mkdir -p "$folder"
    echo "$folder"
}

# verify_all_units: the shipped model against the reference on each unit that `cleave devices` lists
# as usable; prints a line a unit. Fails where one differs or there is none.
verify_all_units() {
    local unit units
    build/cleave devices --json >build/icd/devices.json || return 1
    units=$(/usr/bin/python3 -c 'import json, sys
print(*[unit["name"] for unit in json.load(sys.stdin)["units"] if unit["usable"]])' <build/icd/devices.json)
    [ -n "$units" ] || return 1
    for unit in $units; do
        echo "-- $unit"
        build/cleave verify models/espcn_x3.onnx --shape input=1x3x10x12 --devices "$unit" || return 1
    done
}

# The Python environment of --full, made anew where ci/requirements.txt changed.
venv=build/venv
ensure_venv() {
    if ! cmp -s ci/requirements.txt "$venv/requirements.txt"; then
        rm -rf "$venv"
        mkdir -p build
        /usr/bin/python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check -r ci/requirements.txt
        cp ci/requirements.txt "$venv/requirements.txt"
    fi
}
