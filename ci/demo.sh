#!/usr/bin/env bash
# Sets up, builds, and runs the shipped model on the shipped picture: on all cores, then as a pipeline
# of two, with a picture of what each did and was expected to do.
. "$(dirname "$0")/lib.sh"

ci/setup.sh
mkdir -p build/demo
if ! { cmake -S . -B build && cmake --build build --parallel "$jobs" --target cleave; } >build/demo/build.log 2>&1; then
    tail -n 50 build/demo/build.log
    die "the build failed; build/demo/build.log has all of it"
fi
echo "models/espcn_x3.onnx on models/sample.png, on all $jobs cores:"
build/cleave run models/espcn_x3.onnx --devices cpu --input models/sample.png --output build/demo/out.png
echo "models/sample.png, three times larger: build/demo/out.png"

if [ "$jobs" -lt 2 ]; then
    echo "this machine has one core: no pipeline"
    exit
fi
echo
echo "as a pipeline of two cores, six pictures one after the other:"
build/cleave run models/espcn_x3.onnx --devices core:0,core:1 --policy pipeline --requests 6 --input models/sample.png \
    --timeline build/demo/timeline.txt --timeline build/demo/timeline.svg --timeline build/demo/timeline.html
echo
awk '/ busy  / { on = 1 } on { print } /^[|]name/ { exit }' build/demo/timeline.txt # rows, and how to read them
echo
echo "the same as a picture: build/demo/timeline.svg; to zoom and search in, with a browser: build/demo/timeline.html"
