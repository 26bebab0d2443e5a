# What uses OpenCL, once more with Khronos' ICD loader (from PyPI) in the place of ocl-icd.
. "$(dirname "$0")/../lib.sh"
fewer_cases
ensure_venv
build_preset release build
rm -rf build/khronos
mkdir -p build/khronos
for library in libOpenCL.so.1 libsvml.so libirng.so libimf.so libintlc.so.5; do # and what it needs
    ln -s "$PWD/$venv/lib/$library" build/khronos/
done
export LD_LIBRARY_PATH=$PWD/build/khronos
program=build/cleave
ldd "$program" | grep "$LD_LIBRARY_PATH/libOpenCL.so.1" >/dev/null || die "$program does not use Khronos' loader"
# of the unit tests, unit_ocl_*; of a sample not what measures for long, alone
without='unit_([^o]|o[^c])|fuzz_|property_([cgi]|p[elr])|golden_|api_planning|fault_|install'
[ "${CLEAVE_TEST_SAMPLE:-1}" = 1 ] || without="$without|calibrate"
run_ctest build $(third_of_tests) --exclude-regex "^($without)"

# Two platforms at once through it.
mkdir -p build/icd
CLEAVE_CACHE_DIR=$(kept_folder platforms)
export CLEAVE_CACHE_DIR CLEAVE_POCL_THREADED=1
OCL_ICD_VENDORS=$(icd_folder both "$(cat /etc/OpenCL/vendors/pocl.icd)" "$PWD/$venv/lib/libintelocl.so")
export OCL_ICD_VENDORS
verify_all_units | tee build/icd/khronos.log
grep -q '^-- cl:1' build/icd/khronos.log || die "the two platforms were not there at once"
