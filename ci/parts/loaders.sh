# What uses OpenCL, once more with Khronos' ICD loader (from PyPI) in the place of ocl-icd.
. "$(dirname "$0")/../lib.sh"
ensure_venv
build_preset release build
rm -rf build/khronos
mkdir -p build/khronos
for library in libOpenCL.so.1 libsvml.so libirng.so libimf.so libintlc.so.5; do # and what it needs
    ln -s "$PWD/$venv/lib/$library" build/khronos/
done
export LD_LIBRARY_PATH=$PWD/build/khronos
program=build/tests/conformance/conformance
ldd "$program" | grep -q "$LD_LIBRARY_PATH/libOpenCL.so.1" || die "$program does not use Khronos' loader"
run_ctest build --exclude-regex '^(unit_|fuzz_|install)'
