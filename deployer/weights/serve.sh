# Gives the contents of one manifest to the project's other hosts, while they still arrive. POSIX sh (dash, busybox).
#   listen   its stdin says the token, then `BLOB SIZE` lines up to `end`, then a line now and then; listens until stdin
#            ends, or nobody said or asked for anything for IDLE seconds
#   answer   one connection, on stdin and stdout
# In the environment: PORT; BLOBS, the folder with contents and parts; RUN, a folder of its own; IDLE; WAIT, the seconds
# that an answer waits for bytes that are not there yet.

# shellcheck shell=sh disable=SC2153,SC2154,SC3045

LC_ALL=C
export LC_ALL PORT BLOBS RUN WAIT

listen() {
    children=
    trap 'kill $children 2>/dev/null; exit 0' TERM
    umask 077
    true >"$RUN/alive"
    watch_over &
    children=$!
    read -r token || kill "$$"
    printf '%s\n' "$token" >"$RUN/token"
    while read -r line && [ "$line" != end ]; do printf '%s\n' "$line"; done >"$RUN/files"
    exec 4<&0
    listener 4<&- </dev/null &
    children="$children $!"
    echo $! >"$RUN/listener"
    kept <&4 & # ends with whoever asked for this
    children="$children $!"
    wait $!
    kill "$$"
    wait
}

# Whoever asked for this says now and then that it is still wanted.
kept() {
    while read -r _; do true >"$RUN/alive"; done
}

# For one who died before it said the token, for one who was cut off and cannot say that it is over, and where nothing
# can listen.
watch_over() {
    pause=1
    while sleep "$pause"; do
        now=$(date +%s) then=$(stat -c %Y "$RUN/alive")
        [ $((now - then)) -le "$IDLE" ] || kill "$$"
        if read -r listener 2>/dev/null <"$RUN/listener"; then
            kill -0 "$listener" 2>/dev/null || kill "$$"
            pause=5
        fi
    done
}

# Whatever can listen here; each connection gets a shell of its own.
listener() {
    for can in ${LISTENERS:-perl python3 systemd-socket-activate}; do
        command -v "$can" >/dev/null 2>&1 || continue
        case $can in
            perl)
                exec perl -e '
                    use Socket;
                    my $port = shift;
                    socket(my $server, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
                    setsockopt($server, SOL_SOCKET, SO_REUSEADDR, 1);
                    bind($server, sockaddr_in($port, INADDR_ANY)) or die "bind: $!";
                    listen($server, 128) or die "listen: $!";
                    $SIG{CHLD} = sub { 1 while waitpid(-1, 1) > 0 };
                    while (1) {
                        accept(my $client, $server) or next;
                        my $child = fork;
                        if (defined $child and !$child) {
                            open(STDIN, "<&", $client);
                            open(STDOUT, ">&", $client);
                            exec @ARGV;
                            exit 1;
                        }
                        close $client;
                    }' "$PORT" sh "$0" answer
                ;;
            python3)
                exec python3 -c '
import os, signal, socket, sys
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("", int(sys.argv[1])))
server.listen(128)
def reap(*_):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]: pass
    except ChildProcessError: pass
signal.signal(signal.SIGCHLD, reap)
while True:
    client = server.accept()[0]
    if not os.fork():
        os.dup2(client.fileno(), 0)
        os.dup2(client.fileno(), 1)
        os.execvp(sys.argv[2], sys.argv[2:])
    client.close()' "$PORT" sh "$0" answer
                ;;
            systemd-socket-activate)
                exec systemd-socket-activate --accept --inetd --listen="$PORT" -E BLOBS -E RUN -E WAIT -E PATH \
                    sh "$0" answer 2>/dev/null
                ;;
        esac
    done
    echo "nothing here can listen: no perl, no python3, no systemd-socket-activate" >&2
}

refuse() { # STATUS
    printf 'HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' "$1"
    exit 0
}

# Its head comes within ten seconds or never, and is short; whoever does not know the token keeps nothing alive.
answer() {
    name='' given='' at=0 method=''
    head=$(
        ulimit -v 65536 2>/dev/null # a line without an end
        timeout 10 sed -e '/^.\{0,1\}$/q' 2>/dev/null | head -c 16384 | tr -cd '[:print:]\n'
    )
    while IFS= read -r line; do
        case $line in
            'GET /'* | 'HEAD /'*) method=${line%% *} name=${line#* /} name=${name%% *} ;;
            [Aa]uthorization:\ Bearer\ *) given=${line#*Bearer } ;;
            [Rr]ange:\ bytes=*-*) at=${line#*=} at=${at%%-*} ;;
        esac
    done <<END
$head
END
    read -r token <"$RUN/token"
    [ "$given" = "$token" ] || refuse '403 Forbidden'
    true >"$RUN/alive"
    case $at in '' | *[!0-9]* | ????????????????*) refuse '400 Bad Request' ;; esac
    case $name in '' | *[!0-9a-z]*) refuse '404 Not Found' ;; esac
    size=$(sed -n "s/^$name //p" "$RUN/files")
    [ -n "$size" ] || refuse '404 Not Found'
    [ "$at" -lt "$size" ] || refuse '416 Range Not Satisfiable'
    started='' waited=0
    until
        give 3<"$BLOBS/$name" || give 3<"$BLOBS/$name.part" || give 3<"$BLOBS/$name"
        [ -n "$started" ]
    do
        if hidden "$BLOBS/$name" || hidden "$BLOBS/$name.part" || [ ! -x "$BLOBS" ]; then refuse '404 Not Found'; fi
        [ "$waited" -lt $((WAIT * 4)) ] || refuse '503 Not Yet'
        waited=$((waited + 1))
        true >"$RUN/alive"
        moment
    done 2>/dev/null
}

# There, but not for this user; what is renamed meanwhile is not hidden.
hidden() { [ -e "$1" ] && [ ! -r "$1" ] && [ -e "$1" ]; }

moment() { sleep 0.25 2>/dev/null || sleep 1; }
shortly() { sleep 0.05 2>/dev/null || sleep 1; } # the rest is about to come, and a row of hosts waits for it

# What is behind the offset of file 3.
where() {
    while read -r key value; do
        [ "$key" != pos: ] || offset=$value
    done </proc/self/fdinfo/3
}

# All of file 3 from byte `at` on, as it grows; false where there is none of it yet.
give() {
    [ "$(stat -L -c %s /proc/self/fd/3)" -gt "$at" ] || return 1
    if [ "$at" -gt 0 ]; then dd bs=65536 iflag=skip_bytes skip="$at" count=0 <&3 2>/dev/null; fi
    where
    [ "$offset" = "$at" ] || refuse '500 Cannot Seek'
    started=yes
    if [ "$at" -gt 0 ]; then
        printf 'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %s-%s/%s\r\n' "$at" $((size - 1)) "$size"
    else
        printf 'HTTP/1.1 200 OK\r\n'
    fi
    printf 'Accept-Ranges: bytes\r\nContent-Length: %s\r\nConnection: close\r\n\r\n' $((size - at))
    [ "$method" = GET ] || exit 0
    waited=0 most=0 pause=:
    while :; do
        dd bs=1048576 count=64 <&3 2>/dev/null || exit 0 # not all at once: it shows that somebody is served
        where
        [ "$offset" -lt "$size" ] || exit 0
        true >"$RUN/alive"
        came=$((offset - at))
        [ "$pause" != moment ] || most=$came
        pause=:
        if [ $((size - offset)) -le "$most" ] && [ "$came" -gt 0 ]; then
            pause=shortly
        elif [ "$came" -lt 67108864 ]; then
            pause=moment
        fi
        $pause
        if [ "$offset" = "$at" ]; then waited=$((waited + 1)); else waited=0; fi
        [ "$waited" -le $((WAIT * 4)) ] || exit 0
        at=$offset
    done
}

"$1"
