# Brings the files of one manifest into this host's cache: each whole and checked, or absent. POSIX sh (dash, busybox).
# Set before: CACHE FOLDER COMMIT ID REF MANIFEST COUNT BLOBS WORKERS STALL TRIES PATIENCE PUSHED TRUSTS, PROXY_HTTP
# PROXY_HTTPS NO_PROXY_FOR CAS (each may be empty), and four functions:
#   item NUMBER   sets blob size kind hash urls keys of one content, NUMBER from 1 to COUNT; urls have the same bytes
#   token KEY     sets TOKEN, for the url of that key, PEER, where another host of the project serves it, and CA, the
#                 file of what is believed there; empty: what the host believes
#   authority KEY says the certificates of a key of CAS
#   links         calls `link PATH TARGET` for each file of the snapshot
# Says, a line each: `progress BYTES`, `waiting BYTES`, `checking BYTES`, `wrong NUMBER`, `left KEY` where a peer is given
# up, at the end `whole FETCHED` or `failed CODE NUMBER WORDS`. TOKEN and proxies go to curl on its stdin: they are in no
# argv, no environment and no file.

# shellcheck shell=sh disable=SC2015,SC2086,SC2153,SC2154

LC_ALL=C
export LC_ALL
umask 022

root=$CACHE/$FOLDER
blobs=$root/blobs
seen=$CACHE/manifests/$ID.seen
new=$root/.deployer-new # is renamed when whole; its own to who has the lock, and no file of the model where a kill leaves it
work=

# The first who fails says why; all others see that and stop.
failed() { # CODE NUMBER WORDS
    if mkdir "$work/failing" 2>/dev/null; then
        printf 'failed %s %s %s\n' "$1" "$2" "$(printf '%s' "$3" | tr '\n' ' ')" >"$work/failed.new"
        mv -f -- "$work/failed.new" "$work/failed"
    fi
    exit 1
}
# Before there is a folder for workers.
give_up() {
    printf 'failed %s 0 %s\n' "$1" "$(printf '%s' "$2" | tr '\n' ' ' | tail -c 300)"
    exit 0
}

bytes() { stat -L -c %s -- "$1" 2>/dev/null || echo 0; }
stamp() { stat -L -c '%s %Y' -- "$1" 2>/dev/null; }

space() { # bytes free under the cache
    df -P -k "$root" | {
        read -r _
        read -r _ _ _ free _
        echo "$((${free:-0} * 1024))"
    }
}

# Reads the whole file; what has no hash is right by its size.
right() { # FILE
    [ "$(bytes "$1")" = "$size" ] || return 1
    case $kind in
        sha256) sum=$(sha256sum <"$1") ;;
        git) sum=$({ printf 'blob %s\0' "$size" && cat -- "$1"; } | sha1sum) ;;
        *) return 0 ;;
    esac
    [ "${sum%% *}" = "$hash" ]
}

# A blob that this manifest's earlier, unfinished fetch has checked is not read again while its size and time stand.
is_whole() {
    [ -f "$blobs/$blob" ] || return 1
    now=$(stamp "$blobs/$blob") || return 1
    if grep -qxF -e "$blob $now" "$seen" 2>/dev/null; then return 0; fi
    true >"$work/$number.checking"
    right "$blobs/$blob" || return 1
    note
}
note() { printf '%s %s\n' "$blob" "$(stamp "$blobs/$blob")" >>"$seen"; }

# The next place of this content, where the part goes on; false after the last. Peers that were given up are passed over.
next_place() {
    while [ -n "$urls" ]; do
        url=${urls%% *} key=${keys%% *}
        case $urls in
            *' '*) urls=${urls#* } keys=${keys#* } ;;
            *) urls='' keys='' ;;
        esac
        [ ! -e "$work/left.$key" ] || continue
        token "$key"
        tries=0 wrong=0 late=0 switched=yes
        return 0
    done
    return 1
}
# This place does not have it: CODE NUMBER WORDS, if no other one is left.
lost() { next_place || failed "$@"; }

# What curl is told of the way to $url.
way() {
    [ -z "$TOKEN" ] || printf 'header = "Authorization: Bearer %s"\n' "$TOKEN"
    if [ -n "$PEER" ]; then
        printf 'noproxy = "*"\nconnect-timeout = 5\n'
        return
    fi
    if [ -n "$CA" ]; then
        printf 'cacert = "%s"\n' "$CA"
        [ ! -d "${SSL_CERT_DIR-}" ] || printf 'capath = "%s"\n' "$SSL_CERT_DIR"
    fi
    case $url in https:*) proxy=$PROXY_HTTPS ;; *) proxy=$PROXY_HTTP ;; esac
    [ -z "$proxy" ] || printf 'proxy = "%s"\nnoproxy = "%s"\n' "$proxy" "$NO_PROXY_FOR"
}

# The CA of a hub, and all that the host believes anyway: `cacert` takes the place of curl's bundle, and a hub may redirect
# to a server of the world. Where curl looks for the bundle (its man page), then where distributions keep it (Go's
# crypto/x509/root_linux.go); a folder of certificates that curl was built with counts beside `cacert` by itself.
# In a file, since curl takes certificates from nothing else; it goes with the folder of this fetch.
believe() { # KEY
    {
        authority "$1"
        for bundle in "${CURL_CA_BUNDLE-}" "${SSL_CERT_FILE-}" /etc/ssl/certs/ca-certificates.crt \
            /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/pki/tls/cacert.pem \
            /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem /etc/ssl/cert.pem; do
            if [ -f "$bundle" ] && [ -r "$bundle" ]; then
                cat -- "$bundle"
                return
            fi
        done
    } >"$work/ca.$1"
}

# curl, going on where the part ends. In $code its exit code, in $status that of HTTP.
transfer() {
    {
        printf 'url = "%s"\n' "$url"
        way
    } | {
        ulimit -f $((size / 512 + 4096)) 2>/dev/null # whatever a server sends: not much more than it said
        exec curl -q --connect-timeout 20 -K - -sS -f -L --max-redirs 8 --proto =http,https \
            --speed-limit 1024 --speed-time "$STALL" -C - -o "$part" -w '%{http_code}' \
            >"$work/$number.status" 2>"$work/$number.words"
    } &
    curl=$!
    echo $curl >"$work/$number.pid"
    wait $curl
    code=$?
    rm -f -- "$work/$number.pid"
    status=$(cat "$work/$number.status")
}
words() { tail -n 1 "$work/$number.words" | tail -c 200; }

# What a transfer that ended badly means; returns where another try may help.
judge() {
    case $code in
        33) rm -f -- "$part" ;; # it knows no ranges: from the beginning
        23 | 27 | 153)
            [ "$(bytes "$part")" -le "$size" ] || return 0 # the limit above
            [ "$(space)" -lt 16777216 ] || failed cannot-write "$number" "$(words)"
            failed disk-full "$number" "$(words)"
            ;;
        127) failed no-curl "$number" "curl is not there" ;;
    esac
    if [ -n "$PEER" ]; then
        judge_peer
        return
    fi
    case $code in
        60 | 77 | 35 | 58 | 59 | 91) [ "$code" = 35 ] || lost bad-certificate "$number" "$(words)" ;;
        22)
            case $status in
                416) rm -f -- "$part" ;;
                401 | 403 | 407) lost denied "$number" "$status" ;;
                404 | 410 | 400) lost gone "$number" "$status" ;;
            esac
            ;;
    esac
}

# A peer that does not have these bytes yet says so, and is asked again; one that is gone is asked for nothing any more.
judge_peer() {
    case $code$status in
        22503)
            late=$((late + 1)) tries=-1
            [ $late -lt "$PATIENCE" ] || leave_peer
            sleep 1
            ;;
        224??) lost gone "$number" "$status" ;;
        7* | 28*) leave_peer ;;
        *) [ "$(bytes "$part")" -gt "$had" ] || [ $tries -lt 1 ] || leave_peer ;;
    esac
}
leave_peer() {
    if mkdir "$work/left.$key" 2>/dev/null; then printf 'left %s\n' "$key"; fi
    lost stalled "$number" "$(words)"
}

# One content: there and right, or fetched until it is.
fetch() {
    part=$blobs/$blob.part
    if is_whole; then return 0; fi
    [ ! -f "$blobs/$blob" ] || printf 'wrong %s\n' "$number"
    rm -f -- "$blobs/$blob" "$work/$number.checking"
    tries=0 wrong=0
    [ -n "$PUSHED" ] || [ "$size" = 0 ] || next_place || failed gone "$number" "it has no URL"
    while :; do
        switched=
        had=$(bytes "$part")
        if [ "$had" -gt "$size" ]; then
            rm -f -- "$part"
            had=0
            wrong=$((wrong + 1))
        fi
        if [ "$had" -lt "$size" ] || [ ! -f "$part" ]; then
            [ -z "$PUSHED" ] || [ "$size" = 0 ] || failed wrong-size "$number" "$had bytes are there"
            if [ "$size" = 0 ]; then true >"$part"; else transfer; fi
            have=$(bytes "$part")
            if [ "$have" -lt "$size" ] && [ "$code" = 0 ]; then wrong=$((wrong + 1)); fi
            if [ "$have" -ne "$size" ]; then
                [ "$code" = 0 ] || judge
                [ -z "$switched" ] || continue
                if [ "$have" -gt "$had" ]; then tries=0; else tries=$((tries + 1)); fi
                [ $wrong -lt 3 ] || lost wrong-size "$number" "$have bytes came"
                [ $tries -lt "$TRIES" ] || lost stalled "$number" "$(words)"
                [ ! -e "$work/failing" ] || exit 1
                sleep $((tries < 4 ? tries * tries : 15))
                continue
            fi
        fi
        if right "$part"; then
            sync -- "$part" 2>/dev/null
            mv -f -- "$part" "$blobs/$blob" || failed cannot-write "$number" "rename"
            note || failed disk-full "$number" "$seen cannot be written"
            echo "$((size - ${began:-0}))" >"$work/$number.fetched"
            return 0
        fi
        rm -f -- "$part"
        wrong=$((wrong + 1))
        [ -z "$PUSHED" ] || failed wrong-hash "$number" "its hash is not ${hash}"
        [ $wrong -lt 2 ] || lost wrong-hash "$number" "its hash is not ${hash}"
    done
}

# Without a process of its own: there may be thousands.
taken() {
    set -C
    { true >"$work/$number.taken"; } 2>/dev/null
    set -- $?
    set +C
    return "$1"
}

# Takes one content after the other that nobody took yet; small ones by the dozen.
worker() { # NUMBER
    trap - EXIT
    gathered=$work/gathered.$1 numbers='' many=0 from=
    next=1
    while [ "$next" -le "$COUNT" ]; do
        number=$next
        if taken; then
            [ ! -e "$work/failing" ] || exit 1
            item "$number"
            gather || finish_one "$number"
        fi
        next=$((next + 1))
    done
    flush
}
finish_one() { # NUMBER
    number=$1
    item "$number"
    began=${2-$(bytes "$blobs/$blob.part")}
    code=0
    fetch
    rm -f -- "$work/$number.checking"
    echo "$size" >>"$work/sizes"
}

# Small contents of one place come by one curl; false for what does not come so.
gather() {
    [ -z "$PUSHED" ] && [ "$size" -gt 0 ] && [ "$size" -le 1048576 ] || return 1
    [ ! -e "$blobs/$blob" ] && [ ! -e "$blobs/$blob.part" ] && next_place && [ -z "$PEER" ] || return 1
    if [ -n "$numbers" ] && { [ "$from" != "$key ${url%%:*}" ] || [ $many -ge 64 ]; }; then
        flush
        number=$next
        item "$number"
        next_place
    fi
    printf 'url = "%s"\noutput = "%s.part"\n' "$url" "$blob" >>"$gathered"
    numbers="$numbers $number" many=$((many + 1)) from="$key ${url%%:*}"
}

# What the one curl brought is checked as any other part is; what it did not is fetched alone.
flush() {
    [ -n "$numbers" ] || return 0
    token "${from% *}"
    url=${from#* }:
    {
        way
        cat "$gathered"
    } | {
        ulimit -f 4096 2>/dev/null
        cd -- "$blobs" || exit 1
        exec curl -q --connect-timeout 20 -K - -sS -f -L --max-redirs 8 --proto =http,https $PARALLEL \
            --speed-limit 1024 --speed-time "$STALL" 2>/dev/null
    } &
    echo $! >"$gathered.pid"
    wait $!
    rm -f -- "$gathered" "$gathered.pid"
    set -- $numbers
    numbers='' many=0
    for each; do finish_one "$each" 0; done
}

# All bytes that are there, in $total; in $checks `checking` where something that was there is being read. Called each
# second: it looks at what arrives, not at all files.
measure() {
    total=0 checks=
    while read -r bytes; do total=$((total + bytes)); done <"$work/sizes"
    for checking in "$work"/*.checking; do
        [ ! -e "$checking" ] || checks=checking
    done
    set --
    for part in "$blobs"/*.part; do
        name=${part##*/}
        case $BLOBS in *" ${name%.part} "*) [ ! -f "$part" ] || set -- "$@" "$part" ;; esac
    done
    if [ $# != 0 ]; then
        for bytes in $(stat -c %s -- "$@" 2>/dev/null); do total=$((total + bytes)); done
    fi
}

# Only one fetches into a folder; a curl that outlived its script holds the lock until it ends.
take_lock() {
    (true >>"$root/.deployer-lock") || give_up cannot-write "$root/.deployer-lock" # a failed `exec` would end the shell
    exec 9>>"$root/.deployer-lock"
    silent=0 before=
    until flock -n 9; do
        measure
        printf 'waiting %s\n' "$total" || exit 0
        if [ "$total" = "$before" ]; then silent=$((silent + 1)); else silent=0; fi
        before=$total
        [ $silent -lt $((STALL * 3)) ] || give_up busy "another fetch holds $root and gets nowhere"
        sleep 1
    done
}

# By what a plan trusts too: the manifest was written, and each content has its size and is not younger than that. So
# whoever waited for another fetch of the same, on this host or on one that shares the folder, reads nothing again.
is_there() {
    [ -n "$TRUSTS" ] && ls "$blobs" "$CACHE/manifests" >/dev/null || return 1 # a file server's folders are seen anew
    written=$(stat -L -c %Y -- "$CACHE/manifests/$ID" 2>/dev/null) || return 1
    set --
    sizes=
    number=1
    while [ $number -le "$COUNT" ]; do
        item $number
        set -- "$@" "$blob"
        sizes="$sizes$size "
        number=$((number + 1))
    done
    found=$(cd -- "$blobs" && stat -L -c '%s %Y' -- "$@" 2>/dev/null) || return 1
    while read -r size time; do
        [ "$size" = "${sizes%% *}" ] && [ "$time" -le "$written" ] || return 1
        sizes=${sizes#* }
    done <<END
$found
END
}

link() { # PATH TARGET
    place=$root/snapshots/$COMMIT/$1
    mkdir -p -- "${place%/*}" || failed cannot-write 0 "${place%/*}"
    if [ -d "$place" ] && [ ! -L "$place" ]; then failed in-the-way 0 "$place is a directory"; fi
    [ "$(readlink -- "$place")" != "$2" ] || return 0
    rm -f -- "$new" && ln -s -- "$2" "$new" && mv -f -- "$new" "$place" || failed cannot-write 0 "$place"
}

written() { # PATH TEXT: renamed when whole; no newline, which huggingface_hub would take for a part of a commit
    mkdir -p -- "${1%/*}" && rm -f -- "$new" && printf '%s' "$2" >"$new" && mv -f -- "$new" "$1" ||
        failed disk-full 0 "$1"
}

cleaned() {
    trap '' HUP INT TERM PIPE
    [ -n "$work" ] || return
    mkdir "$work/failing"
    for pid in "$work"/*.pid; do
        if read -r curl <"$pid"; then kill "$curl"; fi
    done
    [ -z "$pids" ] || kill $pids
    wait
    rm -rf -- "$work"
} 2>/dev/null

main() {
    words=$(mkdir -p -- "$blobs" "$root/snapshots" "$CACHE/manifests" 2>&1) || give_up no-folder "$words"
    [ -w "$blobs" ] && [ -w "$CACHE/manifests" ] || give_up no-folder "$blobs: Permission denied"
    pids=
    work=$(mktemp -d "${TMPDIR:-/tmp}/deployer-fetch.XXXXXX") || give_up no-folder "${TMPDIR:-/tmp} cannot be written"
    true >"$work/sizes"
    trap cleaned EXIT
    trap 'exit 130' HUP INT TERM PIPE
    for key in $CAS; do believe "$key" || give_up no-folder "$work cannot be written"; done
    take_lock
    if is_there; then
        echo 'whole 0'
        exit 0
    fi
    if curl -q -Z -V >/dev/null 2>&1; then PARALLEL='-Z --parallel-max 8'; else PARALLEL=; fi
    count=0
    while [ $count -lt "$WORKERS" ] && [ $count -lt "$COUNT" ]; do
        worker "$count" &
        pids="$pids $!"
        count=$((count + 1))
    done
    while [ ! -e "$work/failed" ] && is_working; do
        measure
        printf '%s %s\n' "${checks:-progress}" "$total" || exit 0
        a_second
    done
    finish
}

# Or less, where the workers are done.
a_second() {
    for _quarter in 1 2 3 4; do
        is_working || return 0
        sleep 0.25 2>/dev/null || {
            sleep 1
            return 0
        }
    done
}

is_working() {
    for pid in $pids; do
        if kill -0 "$pid" 2>/dev/null; then return 0; fi
    done
    return 1
}

finish() {
    if [ ! -e "$work/failed" ]; then
        wait $pids
        count=0
        while read -r _; do count=$((count + 1)); done <"$work/sizes"
        [ $count = "$COUNT" ] || [ -e "$work/failed" ] || (failed ended 0 "a part of the fetch was killed")
    fi
    if [ ! -e "$work/failed" ]; then
        (
            trap - EXIT
            links
            [ -z "$REF" ] || written "$root/refs/$REF" "$COMMIT"
            sync -- "$root/snapshots/$COMMIT" 2>/dev/null
            written "$CACHE/manifests/$ID" "$MANIFEST"
        )
    fi
    if [ -e "$work/failed" ]; then
        cat "$work/failed"
        exit 0
    fi
    rm -f -- "$seen"
    fetched=0
    for part in "$work"/*.fetched; do
        [ ! -f "$part" ] || fetched=$((fetched + $(cat "$part")))
    done
    printf 'whole %s\n' "$fetched"
}
