# Reads files of a copy of a model that was on this host before deployer, and writes down what they are. POSIX sh (dash,
# busybox). Writes nothing but RECORD: lines of SHA256 GIT SIZE TIME INODE PATH, of a path the last one holds; in place
# of a hash `outside` for a link that leads out of ROOT, `altered` for another content than before under the same stamp.
# Set before: ROOT FOLDER RECORD COUNT WORKERS AGAIN, and `item NUMBER`, which sets path of one file, and told: SHA256 GIT
# SIZE TIME INODE of the same file as another host read it, or nothing.
# Says, a line each: `progress BYTES`, of each file `read NUMBER SHA256 GIT SIZE TIME INODE` or `outside|missing|changed|
# altered|denied NUMBER`, at the end `done BYTES` or `failed CODE WORDS`.

# shellcheck shell=sh disable=SC2015,SC2086,SC2153,SC2154

LC_ALL=C
export LC_ALL
umask 022
work=

give_up() { # CODE WORDS
    printf 'failed %s %s\n' "$1" "$(printf '%s' "$2" | tr '\n' ' ' | tail -c 300)"
    exit 0
}

stamp() { stat -L -c '%s %Y %i' -- "$1" 2>/dev/null; }
note() { printf '%s %s %s %s\n' "$1" "$2" "$3" "$path" >>"$RECORD" || true >"$work/unwritable"; }

# What was read before of a file that is the one it was then, in $known.
recall() { # STAMP
    known=
    while IFS= read -r line; do
        case $line in *" $1 $path") known=$line ;; *" $path") known= ;; esac
    done <<END
$(grep -F -e " $path" "$RECORD")
END
}

# Where the file is, links followed, must be seen by a container that sees ROOT alone.
is_inside() {
    case $(readlink -f "$file") in "$real"/*) return 0 ;; esac
    return 1
}

# Reads the whole file; its place in it shows in /proc/PID/fdinfo meanwhile.
summed() {
    [ -r "$file" ] || return 1
    sha256sum <"$file" >"$work/$number.sum" 2>/dev/null &
    echo $! >"$work/$number.pid"
    wait $!
    set -- $?
    rm -f -- "$work/$number.pid"
    read -r sum _ <"$work/$number.sum"
    git=-
    if [ "$size" -le 67108864 ]; then # what git itself holds of a model is smaller
        git=$({ printf 'blob %s\0' "$size" && cat -- "$file"; } | sha1sum)
        git=${git%% *}
    fi
    return "$1"
}

one() {
    file=$FOLDER/$path
    if ! before=$(stamp "$file"); then
        echo "missing $number"
        return
    fi
    size=${before%% *}
    recall "$before"
    if [ -z "$known$AGAIN" ] && [ -n "$told" ] && [ "${told#* * }" = "$before" ] && is_inside; then
        known="$told $path"
        printf '%s\n' "$known" >>"$RECORD" || true >"$work/unwritable"
    fi
    if [ -n "$known" ] && [ -z "$AGAIN" ]; then
        sum=${known%% *} git=${known#* }
        git=${git%% *}
    elif ! is_inside; then
        sum=outside git=-
        note outside - "$before"
    elif ! summed; then
        echo "denied $number"
        return
    elif [ "$(stamp "$file")" != "$before" ]; then
        echo "changed $number"
        return
    elif [ -n "$known" ] && [ "${known%% *}" != "$sum" ]; then
        note altered - "$before"
    else
        note "$sum" "$git" "$before"
    fi
    if [ "$sum" = outside ]; then echo "outside $number"; elif [ "$sum" = altered ]; then echo "altered $number"; else echo "read $number $sum $git $before"; fi
    echo "$size" >>"$work/sizes"
}

taken() {
    set -C
    { true >"$work/$number.taken"; } 2>/dev/null
    set -- $?
    set +C
    return "$1"
}

worker() {
    trap - EXIT
    number=1
    while [ "$number" -le "$COUNT" ]; do
        if taken; then
            item "$number"
            one
        fi
        number=$((number + 1))
    done
}

# All bytes that were read, in $total.
measure() {
    total=0
    while read -r bytes; do total=$((total + bytes)); done <"$work/sizes"
    for reading in "$work"/*.pid; do
        if read -r pid <"$reading" && read -r _ bytes <"/proc/$pid/fdinfo/0"; then total=$((total + bytes)); fi
    done
} 2>/dev/null

cleaned() {
    trap '' HUP INT TERM PIPE
    [ -n "$work" ] || return
    for reading in "$work"/*.pid; do
        if read -r pid <"$reading"; then kill "$pid"; fi
    done
    [ -z "$pids" ] || kill $pids
    wait
    rm -rf -- "$work"
} 2>/dev/null

is_working() {
    for pid in $pids; do
        if kill -0 "$pid" 2>/dev/null; then return 0; fi
    done
    return 1
}

main() {
    words=$(mkdir -p -- "${RECORD%/*}" 2>&1 && { true >>"$RECORD"; } 2>&1) || give_up no-folder "$words"
    [ "$(stat -c %s -- "$RECORD")" -lt 1048576 ] || true >"$RECORD"
    real=$(readlink -f "$ROOT") || give_up gone "$ROOT"
    pids=
    work=$(mktemp -d "${TMPDIR:-/tmp}/deployer-read.XXXXXX") || give_up no-folder "${TMPDIR:-/tmp} cannot be written"
    true >"$work/sizes"
    trap cleaned EXIT
    trap 'exit 130' HUP INT TERM PIPE
    count=0
    while [ $count -lt "$WORKERS" ] && [ $count -lt "$COUNT" ]; do
        worker &
        pids="$pids $!"
        count=$((count + 1))
    done
    while is_working; do
        measure
        printf 'progress %s\n' "$total" || exit 0
        sleep 1
    done
    wait $pids
    [ ! -e "$work/unwritable" ] || give_up no-folder "$RECORD cannot be written"
    measure
    printf 'done %s\n' "$total"
}
