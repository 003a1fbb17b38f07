#!/bin/sh
# A program beside the stub, for `docker exec`: `prepare CODE SECONDS [TEXT]` puts TEXT at the server's /state and exits.
# Its words are the container's; tests/support/fakeprograms.py does the same in Python.
echo 'prepare: begins' >/proc/1/fd/1
sleep "$2"
[ -n "$3" ] && printf '%s' "$3" >/www/state
exit "$1"
