# What someone does who reads no further than "it uses CMake": no preset, no Ninja, no options.
. "$(dirname "$0")/../lib.sh"
rm -rf build-plain
CMAKE_GENERATOR="Unix Makefiles" cmake -S . -B build-plain
cmake --build build-plain --parallel "$jobs" --target cleave
version=$(build-plain/cleave --version)
[[ $version =~ ^cleave\ [0-9]+\.[0-9]+\.[0-9]+$ ]] || die "build-plain/cleave --version says '$version'"
