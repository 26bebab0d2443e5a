# Plans, schedules and timelines of the networks of tests/support/zoo.py on the machine files, as they were.
# With --update (by hand): as they are now; read the difference before you commit it. And docs/policies.md.
. "$(dirname "$0")/../lib.sh"
ensure_venv
build_preset release build
"$venv/bin/python" tests/support/zoo.py --size small build/zoo-small
build/tests/golden/golden_timelines tests/golden/networks "$@"
check=--check
[ $# = 0 ] || check=
python3 docs/remake.py $check
