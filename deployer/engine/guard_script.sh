# One change by the Docker engine, if the lock of a project on this host is APPLY's. The body comes by stdin.
# Arguments: DIRECTORY APPLY SECONDS SOCKET METHOD PATH TYPE RUNNING
#   SECONDS  the longest that the engine may take
#   TYPE     of the body; empty where there is none
#   RUNNING  SHA-256 over the ids of all containers that run, as they were when the change was decided on; empty: any
# Says what the engine said, and in its last line the HTTP status, or why nothing was done.
# While this runs nobody takes the lock (`lock.changes`, see lock_script.sh). Applies of all projects take turns at
# starting what they decided on by what runs here (`start.lock`, its owner's only: else any user of the host could hold
# it); who gets no turn starts all the same, since the ids are compared and a start is looked at afterwards.

# shellcheck shell=sh

dir=$1 apply=$2 limit=$3 socket=$4 method=$5 path=$6 type=$7 running=$8
LC_ALL=C
export LC_ALL

say() {
    printf '\n%s' "$1"
    exit 0
}

# A curl that knows no `--unix-socket` says 2 and has sent nothing.
failed() {
    [ "$1" -ne 2 ] || say no-curl
    say "curl $1"
}

engine() { curl -q -sS -g --noproxy '*' -m "$limit" --unix-socket "$socket" "$@"; }

command -v curl >/dev/null 2>&1 || say no-curl
{ true <"$dir/lock.changes"; } 2>/dev/null || say lost
exec 8<"$dir/lock.changes"
flock -s -w 10 8 || say lost
[ -f "$dir/lock" ] && [ ! -L "$dir/lock" ] || say lost
head -c 4096 -- "$dir/lock" | grep -qF "\"apply\":\"$apply\"" || say lost

if [ -n "$running" ]; then
    turn=${dir%/*}/start.lock
    if [ -L "$turn" ] || { [ -e "$turn" ] && [ ! -f "$turn" ]; }; then rm -rf -- "$turn"; fi 2>/dev/null
    [ -f "$turn" ] || (umask 077 && : >>"$turn") 2>/dev/null
    if { true <"$turn"; } 2>/dev/null; then
        exec 7<"$turn"
        flock -w 30 7 || :
    fi
    listed=$(engine -f "http://docker${path%%/containers/*}/containers/json") || failed $?
    seen=$(printf '%s\n' "$listed" | grep -o '"Id":"[0-9a-f]*"' | sort -u | sha256sum)
    [ "${seen%% *}" = "$running" ] || say moved
fi

if [ -n "$type" ]; then
    engine -X "$method" -H "Content-Type: $type" -H Expect: -T - -w '\n%{http_code}' "http://docker$path"
else
    engine -X "$method" -w '\n%{http_code}' "http://docker$path" </dev/null
fi || failed $?
