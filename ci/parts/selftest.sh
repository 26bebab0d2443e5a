# The checkers on sources with known faults.
. "$(dirname "$0")/../lib.sh"
/usr/bin/python3 ci/selftest.py
