#!/bin/sh
# The smallest model server: health, a list of models and one answer, a connection each. `nc -ll -p 8080 -e` starts it.
read -r method path _
length=0
while read -r name value; do
    value=${value%?} # the carriage return
    case $name in
        [Cc]ontent-[Ll]ength:) length=$value ;;
        "$(printf '\r')" | '') break ;;
    esac
done
[ "$length" = 0 ] || head -c "$length" >/dev/null
case $method$path in
    GET/health) body='{"status": "ok"}' ;;
    GET/v1/models) body='{"object": "list", "data": [{"id": "tiny", "object": "model"}]}' ;;
    *) body='{"choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}]}' ;;
esac
printf 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s' "${#body}" "$body"
