# What cleave reads out of files, compared with what the Python packages that wrote them read: every
# official operator test's model, the networks, and tensors and pictures of every kind.
. "$(dirname "$0")/../lib.sh"
ensure_venv
build_preset release build
[ -f build/onnx-tests/cases.txt ] ||
    "$venv/bin/python" tests/conformance/write_onnx_tests.py build/onnx-tests
"$venv/bin/python" tests/support/zoo.py --size small build/zoo-small
"$venv/bin/python" tests/files/compare_files.py build/tests/files/dump_files build/files \
    build/onnx-tests/*/model.onnx build/zoo-small/*.onnx
