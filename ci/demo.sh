#!/usr/bin/env bash
# Sets up, builds, and runs the shipped model on the shipped picture on all cores.
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
