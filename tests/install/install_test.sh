#!/usr/bin/env bash
# Installs into an empty folder, moves that, and builds and runs a program against it: by CMake and by
# pkg-config, with the shared library and the static one.
#
#     install_test.sh BUILD VERSION COMPILER
set -euo pipefail
build=$1 version=$2 compiler=$3
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/before" >/dev/null
mv "$work/before" "$work/prefix" # nothing in it may name the place where it was installed
prefix=$work/prefix
if grep -rlI "$work/before" "$prefix"; then
    echo "these name the folder that it was installed to"
    exit 1
fi
libraries=$(dirname "$(find "$prefix" -name libcleave.so)")

echo "the program"
[ "$("$prefix/bin/cleave" --version)" = "cleave $version" ]

echo "CMake package"
cmake -S "$here/project" -B "$work/build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$compiler" >/dev/null
cmake --build "$work/build" >/dev/null
"$work/build/user_shared" "$version"
"$work/build/user_static" "$version"

echo "pkg-config"
export PKG_CONFIG_PATH=$libraries/pkgconfig
[ "$(pkg-config --modversion cleave)" = "$version" ]
read -ra flags <<<"$(pkg-config --cflags --libs cleave)"
"$compiler" "$here/main.c" "${flags[@]}" -o "$work/shared"
LD_LIBRARY_PATH=$libraries "$work/shared" "$version"
read -ra flags <<<"$(pkg-config --cflags --libs --static cleave | sed 's/-lcleave/-l:libcleave.a/')"
"$compiler" "$here/main.c" "${flags[@]}" -o "$work/static"
"$work/static" "$version"

echo "what depends on what"
readelf -d "$work/shared" | grep 'NEEDED.*libcleave\.so' >/dev/null
if readelf -d "$work/static" | grep 'NEEDED.*libcleave'; then
    echo "the static program needs the shared library"
    exit 1
fi
# the shared library shows the public functions and nothing else
if nm -D --defined-only "$libraries/libcleave.so" | grep -v ' cleave_'; then
    echo "libcleave.so shows names that are not its own"
    exit 1
fi
