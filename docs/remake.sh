#!/bin/bash
# Remakes the pictures of docs/timelines.md, and the tables of it and of docs/policies.md, with the programs in a build
# folder.
#
#     docs/remake.sh [--check] [--build FOLDER] [timelines|policies]...      (nothing: both)
#
# --check: changes nothing; exit 1 where something would change. `policies` needs the networks of tests/support/zoo.py
# in FOLDER/zoo-small.
set -euo pipefail
cd "$(dirname "$0")/.."
check=0 build=build what=()
while [ $# -gt 0 ]; do
    case "$1" in
    --check) check=1 ;;
    --build) shift && build=$1 ;;
    timelines | policies) what+=("$1") ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
    esac
    shift
done
[ ${#what[@]} -gt 0 ] || what=(timelines policies)

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
status=0

# keep NEW OLD: puts a file in its place, or says that it is another.
keep() {
    if cmp -s "$1" "$2"; then
        return
    elif [ $check = 1 ]; then
        echo "$2 is not what docs/remake.sh makes" >&2
        diff "$2" "$1" | head -10 >&2 || true
        status=1
    else
        cp "$1" "$2"
        echo "$2 is new"
    fi
}

# keep_table TABLE PAGE: between the lines "<!-- table -->" and "<!-- end of table -->".
keep_table() {
    awk -v table="$1" '
        /^<!-- end of table -->/ { while ((getline line < table) > 0) print line; skip = 0 }
        !skip { print }
        /^<!-- table -->/ { skip = 1 }' "$2" >"$temporary/page.md"
    keep "$temporary/page.md" "$2"
}

timelines() {
    local names=() name
    for name in serial pipelined pipelined-single-buffers shared-convolution shared-convolution-single-buffers \
        two-convolutions data-parallel data-pipelined; do
        "$build/tests/bench/picture_bench" "docs/timelines/$name.txt" "$temporary/$name.svg"
        keep "$temporary/$name.svg" "docs/images/timeline-$name.svg"
        names+=("$name=docs/timelines/$name.txt")
    done
    "$build/tests/bench/plan_table" needs "${names[@]}" >"$temporary/needs.md"
    keep_table "$temporary/needs.md" docs/timelines.md
}

policies() {
    local models=("models/espcn_x3.onnx H=96 W=96") name
    for name in bert6 espcn inception mobilenetv2 resnet50 resnet50_b8 squeezenet vgg16; do
        models+=("$build/zoo-small/$name.onnx")
    done
    "$build/tests/bench/plan_table" policies "${models[@]}" >"$temporary/policies.md"
    keep_table "$temporary/policies.md" docs/policies.md
}

for part in "${what[@]}"; do
    "$part"
done
exit $status
