# Fast checks of the sources.
. "$(dirname "$0")/../lib.sh"
bash ci/check.sh
