#!/usr/bin/env bash
# Installs the Debian packages that are missing (ci/packages.txt); with --full also those that only
# `ci/test.sh --full` needs. Without anything missing it needs neither rights nor a network.
. "$(dirname "$0")/lib.sh"

full=0
case "${1-}" in
"") ;;
--full) full=1 ;;
*) die "unknown argument '$1'; usage: ci/setup.sh [--full]" ;;
esac

mapfile -t wanted < <(awk -v full=$full '/^[a-z]/ && (NF == 1 || full) { print $1 }' ci/packages.txt)

command -v dpkg-query >/dev/null ||
    die "this is not Debian; install what ci/packages.txt names, then use cmake and ctest as CONTRIBUTING.md says"

# Names of packages that are fully installed. A name that dpkg does not know is an error message
# and an exit status that we do not want.
installed=$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null |
    awk '$1 == "installed" { print $2 }') || true
missing=()
for package in "${wanted[@]}"; do
    grep -qx "$package" <<<"$installed" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

if [ "$(id -u)" = 0 ]; then
    as_root=(env)
elif command -v sudo >/dev/null; then
    as_root=(sudo env)
else
    die "packages are missing and there is no sudo; as root: apt-get install ${missing[*]}"
fi
as_root+=(DEBIAN_FRONTEND=noninteractive)

echo "ci/setup.sh: installing ${missing[*]}"
# A repository that cannot be reached need not be one that we want: installing decides.
"${as_root[@]}" apt-get update -qq || echo "ci/setup.sh: apt-get update failed, going on" >&2
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
    die "apt-get could not install: ${missing[*]}"
