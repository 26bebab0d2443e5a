#!/usr/bin/env bash
# Fast checks of the sources: formatting, shell syntax, params without padding, and ci/check.py (layers, sizes, calls that
# only some files may make, what must not be in a text file).
. "$(dirname "$0")/lib.sh"

passed=0 failed=0
check() {
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$name: FAILED"
    fi
}

check_shell() {
    local status=0 script
    for script in ci/*.sh ci/parts/*.sh .ci/run; do
        bash -n "$script" || status=1
    done
    return $status
}

# What kernels are told is kept by its bytes as a key: there must be none that nobody sets.
check_padding() {
    local status=0 header
    for header in $(git ls-files 'kernels_cl/*_params.h'); do
        echo "#include \"$header\"" | gcc -fsyntax-only -x c -Wpadded -Werror=padded -I. - || status=1
    done
    return $status
}

check formatting bash ci/format.sh --check
check shell check_shell
check padding check_padding
check sources /usr/bin/python3 ci/check.py
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
