#!/usr/bin/env bash
# Formats all C and OpenCL sources by .clang-format, or with --check shows what would change. Names of
# files may follow.
#
# clang-format takes OpenCL's `private` for C++'s and breaks the lines around it: it is shown a word of
# the same length instead.
. "$(dirname "$0")/lib.sh"

check=0
if [ "${1-}" = --check ]; then
    check=1
    shift
fi
format=$(command -v clang-format-14 || command -v clang-format) || die "clang-format is missing: ci/setup.sh"
"$format" --version | grep 'version 14\.' >/dev/null || die "clang-format 14 is needed, this is: $("$format" --version)"
if [ $# -gt 0 ]; then files=("$@"); else mapfile -t files < <(/usr/bin/python3 ci/check.py --list-files c); fi

# The usual case at once: most files need nothing.
changed=()
for file in "${files[@]}"; do
    case "$file" in *.cl) changed+=("$file") ;; esac
done
mapfile -t -O ${#changed[@]} changed < <(printf '%s\n' "${files[@]}" | grep -v '\.cl$' |
    xargs -d '\n' -r -P "$jobs" -n 40 "$format" --dry-run 2>&1 | sed -n 's/^\([^ :]*\):[0-9].*clang-format.*/\1/p' | sort -u)

formatted=$(mktemp)
trap 'rm -f "$formatted"' EXIT
status=0
for file in "${changed[@]}"; do
    case "$file" in
    *.cl) sed 's/\bprivate\b/Private/g' "$file" | "$format" --assume-filename="$file" | sed 's/\bPrivate\b/private/g' ;;
    *) "$format" "$file" ;;
    esac >"$formatted"
    if cmp -s "$file" "$formatted"; then
        continue
    elif [ $check = 1 ]; then
        diff -u --label "$file" --label "$file formatted" "$file" "$formatted" || true
        status=1
    else
        cat "$formatted" >"$file"
        echo "$file"
    fi
done
exit $status
