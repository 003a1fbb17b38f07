"""The same work for pyinfra: a folder, a file, the model that must be there, the container, and an answer from it.

Its container is created and started by `docker`; it has no operation that waits for a service, so that is a command.
"""

from pyinfra import host
from pyinfra.facts.files import File
from pyinfra.facts.server import Port
from pyinfra.operations import docker, files, server

HERE = "tests/bench/programs"
MODEL = "/srv/models/tiny.gguf"
URL = "http://127.0.0.1:18080"
ASK = '{"model": "tiny", "messages": [{"role": "user", "content": "What is the capital of France?"}], "max_tokens": 32}'

if not host.get_fact(File, path=MODEL):
    raise SystemExit(f"{MODEL} is not there")
owner, _ = host.get_fact(Port, port=18080) or (None, None)
if owner not in (None, "docker-proxy"):
    raise SystemExit(f"port 18080 is held by {owner}")

files.directory(name="folder", path="/srv/bench", mode="755")
template = files.put(name="file", src=f"{HERE}/chat.jinja", dest="/srv/bench/chat.jinja", mode="644")
container = docker.container(
    name="container",
    container="chat",
    image="registry.lab:5000/bench/server:1",
    ports=["127.0.0.1:18080:8080"],
    volumes=["/srv/models:/models:ro", "/srv/bench/chat.jinja:/templates/chat.jinja:ro"],
    restart_policy="always",
    command="-m /models/tiny.gguf --alias tiny --host 0.0.0.0 --port 8080 -c 1024 --jinja "
    "--chat-template-file /templates/chat.jinja",
    start=True,
)
server.shell(
    name="answer",
    commands=[
        f"for i in $(seq 200); do curl -sf -m 5 {URL}/health >/dev/null && exit 0; sleep 0.1; done; exit 1",
        f"curl -sf -m 5 {URL}/v1/models | grep -q tiny",
        f"curl -sf -m 30 {URL}/v1/chat/completions -H 'Content-Type: application/json' -d '{ASK}' | grep -q Paris",
    ],
    _if=container.did_change,
)
