# Takes what the controller brings. POSIX sh. Set before: CACHE FOLDER; for `append` also BLOB and OFFSET.
#   state BLOB...   says `BLOB PART` for each: bytes of its part, or of itself
#   unpack          stdin is a tar of whole parts
#   append          stdin goes behind the first OFFSET bytes of BLOB's part; says how many there are then

# shellcheck shell=sh disable=SC2153,SC2154

LC_ALL=C
export LC_ALL
umask 022
root=$CACHE/$FOLDER

state() {
    for blob; do
        if [ -f "$root/blobs/$blob" ]; then
            echo "$blob whole"
        else
            echo "$blob $(stat -L -c %s -- "$root/blobs/$blob.part" 2>/dev/null || echo 0)"
        fi
    done
}

unpack() {
    mkdir -p -- "$root/blobs" && (: >>"$root/.deployer-lock") || exit 3
    exec 9>>"$root/.deployer-lock"
    flock -w 60 9 || exit 4
    tar -x -o -f - -C "$root/blobs"
}

# Under the lock of all who write there: whoever finds more or less than OFFSET writes nothing.
append() {
    mkdir -p -- "$root/blobs" && (: >>"$root/.deployer-lock") || exit 3
    part=$root/blobs/$BLOB.part
    exec 9>>"$root/.deployer-lock"
    flock -w 60 9 || exit 4
    had=$(stat -L -c %s -- "$part" 2>/dev/null || echo 0)
    if [ "$had" = "$OFFSET" ]; then
        cat >>"$part" || exit 5
    else
        cat >/dev/null
    fi
    stat -L -c %s -- "$part" 2>/dev/null || echo 0
}
