# What uses OpenCL, once more with Khronos' ICD loader (from PyPI) in the place of ocl-icd.
. "$(dirname "$0")/../lib.sh"
ensure_venv
build_preset release build
rm -rf build/khronos
mkdir -p build/khronos
ln -s "$PWD/$venv/lib/libOpenCL.so.1" build/khronos/libOpenCL.so.1
export LD_LIBRARY_PATH=$PWD/build/khronos
ldd build/cleave | grep -q "$LD_LIBRARY_PATH/libOpenCL.so.1" || die "build/cleave does not use Khronos' loader"
run_ctest build --exclude-regex '^(unit_|fuzz_|install)'
