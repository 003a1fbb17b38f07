#!/bin/sh
# A model server in miniature, for containers of tests; tests/support/fakeprograms.py does the same in Python.
# MODE: serve | dies (at its first request) | hangs (at each) | exit (with CODE) | silent | ticking. DELAY: seconds until it serves.
# MODELS, CHAT, COMPLETIONS, EMBEDDINGS, RERANK, SETUP: what it answers; CHAT_STATUS, ...: with which status.
# SETUP_LEAVES: what is at /state once it was set up.
trap 'exit 143' TERM
echo 'stub: loading'
case ${MODE:-serve} in
    exit)
        echo "${LAST_WORDS:-stub: no such model}"
        exit "${CODE:-1}"
        ;;
    silent) while :; do sleep 0.1; done ;;
    ticking)
        n=0
        while sleep 0.2; do
            n=$((n + 1))
            echo "stub: tick $n"
        done
        ;;
esac
waited=0
while [ "$waited" -lt "$(printf '%.0f' "$(echo "${DELAY:-0}" | awk '{print $1 * 10}')")" ]; do
    sleep 0.1
    waited=$((waited + 1))
done
mkdir -p /www/v1 /www/cgi-bin
echo ok >/www/health
printf '%s' "${MODELS:-{\"data\": []\}}" >/www/v1/models
printf '%s' "$SETUP_LEAVES" >/www/leaves
for name in CHAT COMPLETIONS EMBEDDINGS RERANK SETUP; do
    eval "answer=\${$name-none} status=\${${name}_STATUS:-200}"
    [ "$answer" = none ] && continue
    script=/www/cgi-bin/$(echo "$name" | tr A-Z a-z)
    printf '%s' "$answer" >"/www/$name"
    if [ "$MODE" = dies ]; then
        printf '#!/bin/sh\ntouch /die\nsleep 9\n' >"$script"
    elif [ "$MODE" = hangs ]; then
        printf '#!/bin/sh\nsleep 60\n' >"$script"
    else
        printf '#!/bin/sh\nprintf "Status: %s\\r\\nContent-Type: application/json\\r\\n\\r\\n"\ncat /www/%s\n' \
            "$status" "$name" >"$script"
        [ "$name" = SETUP ] && [ -n "$SETUP_LEAVES" ] && echo 'cat /www/leaves >/www/state' >>"$script"
    fi
    chmod 755 "$script"
done
httpd -p "${PORT:-80}" -h /www
echo 'stub: serving'
while [ ! -e /die ]; do sleep 0.05; done
echo 'stub: fatal error'
exit 3
