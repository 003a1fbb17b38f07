#!/usr/bin/python3
"""A stand-in for Ollama: the server and the few commands of its program that deployments use. Standard library only.

What it answers, and when it refuses, is as in Ollama's server/routes.go and server/create.go (v0.33). Models are kept
under /root/.ollama. STANDIN_MODE `no-network`: nothing can be pulled. STANDIN_PULL: seconds that a pull takes.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MODE = os.environ.get("STANDIN_MODE", "ok")
PULL_SECONDS = float(os.environ.get("STANDIN_PULL", "0"))
HOME = Path("/root/.ollama/models")
REGISTRY = {"smollm2:135m": "Apache License 2.0", "qwen3:0.6b": "Apache License 2.0"}  # what can be pulled: license
NOT_FOUND = "pull model manifest: file does not exist"
NO_NETWORK = (
    'pull model manifest: Get "https://registry.ollama.ai/v2/": dial tcp: lookup registry.ollama.ai: no such host'
)


def address() -> tuple[str, int]:
    host, _, port = os.environ.get("OLLAMA_HOST", "127.0.0.1").partition(":")
    return host, int(port or 11434)


class Refusal(Exception):
    def __init__(self, status: int, error: str) -> None:
        self.status, self.error = status, error
        super().__init__(error)


# --- what is on the disk -------------------------------------------------------------


def full_name(name: str) -> str:
    return name if ":" in name else f"{name}:latest"


def manifest_of(name: str) -> Path:
    """`library` is the namespace of what has none."""
    model, _, tag = full_name(name).partition(":")
    return HOME / "manifests" / "registry.ollama.ai" / (model if "/" in model else f"library/{model}") / tag


def blob(digest: str) -> Path:
    return HOME / "blobs" / digest.replace(":", "-")


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + "-partial")
    beside.write_bytes(data)
    beside.replace(path)


def read(name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(manifest_of(name).read_text())
    except FileNotFoundError:
        raise Refusal(404, f"model '{name}' not found") from None
    return found


def models() -> list[str]:
    found = ("/".join(path.parts[-3:-1]) + ":" + path.name for path in HOME.glob("manifests/*/*/*/*") if path.is_file())
    return sorted(name.removeprefix("library/") for name in found)


# --- the server ----------------------------------------------------------------------


def pull(request: dict[str, Any]) -> dict[str, Any]:
    name = request.get("model") or request.get("name") or ""
    time.sleep(PULL_SECONDS)
    if MODE == "no-network":
        raise Refusal(500, NO_NETWORK)
    if name not in REGISTRY:
        raise Refusal(500, NOT_FOUND)
    write(manifest_of(name), json.dumps({"license": [REGISTRY[name]], "parameters": {"stop": ["<|im_end|>"]}}).encode())
    return {"status": "success"}


def create(request: dict[str, Any]) -> dict[str, Any]:
    """A derived model: its own licenses and parameters over those of what it was made of."""
    name = request.get("model") or request.get("name")
    if not name:
        raise Refusal(400, "invalid model name")
    if request.get("from"):
        base = from_model(request["from"])
    elif request.get("files"):
        base = from_files(request["files"])
    else:
        raise Refusal(400, "neither 'from' or 'files' was specified")
    given = request.get("license") or []
    licenses = [*base["license"], *([given] if isinstance(given, str) else given)]
    parameters = base["parameters"] | (request.get("parameters") or {})
    write(manifest_of(name), json.dumps({"license": licenses, "parameters": parameters}).encode())
    return {"status": "success"}


def from_model(name: str) -> dict[str, Any]:
    if not manifest_of(name).exists():
        pull({"model": name})
    return read(name)


def from_files(files: dict[str, str]) -> dict[str, Any]:
    for digest in files.values():
        if not blob(digest).exists():
            raise Refusal(400, f'digest "{digest}" not found')
        if blob(digest).read_bytes()[:4] != b"GGUF":
            raise Refusal(400, "unknown type")
    return {"license": [], "parameters": {}}


def show(request: dict[str, Any]) -> dict[str, Any]:
    found = read(full_name(request.get("model") or request.get("name") or ""))
    lines = [f"{key:<30} {json.dumps(value)}" for key, value in found["parameters"].items()]
    return {"license": "\n".join(found["license"]), "parameters": "\n".join(lines), "model_info": {}}


def copy(request: dict[str, Any]) -> dict[str, Any]:
    found = read(request["source"])
    write(manifest_of(request["destination"]), json.dumps(found).encode())
    return {}


def load(name: str) -> None:
    """A context of a million tokens is more than its memory holds."""
    if not manifest_of(name).exists():
        raise Refusal(404, f'model "{name}" not found, try pulling it first')
    if read(name)["parameters"].get("num_ctx", 0) >= 1_000_000:
        raise Refusal(500, "model requires more system memory (37.3 GiB) than is available (24.7 GiB)")


def generate(request: dict[str, Any]) -> dict[str, Any]:
    load(request["model"])
    return {"model": request["model"], "response": "Hi", "done": True, "done_reason": "length"}


def chat(request: dict[str, Any]) -> dict[str, Any]:
    name = str(request.get("model"))
    load(name)
    choice = {"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": name, "choices": [choice]}


def delete(request: dict[str, Any]) -> dict[str, Any]:
    read(request["model"])
    manifest_of(request["model"]).unlink()
    return {}


POSTS = {
    "/api/pull": pull, "/api/create": create, "/api/show": show, "/api/copy": copy, "/api/generate": generate,
    "/v1/chat/completions": chat,
}  # fmt: skip


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        print("[GIN]", self.address_string(), format % args, flush=True)

    def answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def do_GET(self) -> None:
        if self.path == "/api/version":
            return self.answer(200, {"version": "0.32.15"})
        if self.path == "/v1/models":
            data = [{"id": name, "object": "model", "created": 0, "owned_by": "library"} for name in models()]
            return self.answer(200, {"object": "list", "data": data})
        return self.answer(404, "404 page not found")

    def do_POST(self) -> None:
        body = self.body()
        if self.path.startswith("/api/blobs/"):
            digest = self.path.removeprefix("/api/blobs/")
            write(blob(digest), body)
            return self.answer(201, None)
        act = POSTS.get(self.path)
        if act is None:
            return self.answer(404, "404 page not found")
        return self.acted(act, body)

    def do_DELETE(self) -> None:
        self.acted(delete, self.body())

    def acted(self, act: Any, body: bytes) -> None:
        try:
            self.answer(200, act(json.loads(body)))
        except Refusal as refusal:
            openai = self.path.startswith("/v1/")
            error: object = {"message": refusal.error, "type": "api_error"} if openai else refusal.error
            self.answer(refusal.status, {"error": error})


# --- the program ---------------------------------------------------------------------


def modelfile(text: str) -> dict[str, Any]:
    """The request that a Modelfile means; a FROM that is no file names a model."""
    request: dict[str, Any] = {"license": [], "parameters": {}}
    for line in filter(None, text.splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM" and Path(rest).exists():
            request["files"] = {rest: "sha256:" + hashlib.sha256(Path(rest).read_bytes()).hexdigest()}
        elif word == "FROM":
            request["from"] = rest
        elif word == "LICENSE":
            request["license"].append(rest)
        elif word == "PARAMETER":
            name, _, value = rest.partition(" ")
            request["parameters"][name] = json.loads(value)
        else:
            sys.exit(f'Error: command must be one of "from", "license", "parameter", ... ({word})')
    return request


def ask(method: str, path: str, body: bytes) -> None:
    connection = http.client.HTTPConnection(*address(), timeout=60)
    connection.request(method, path, body)
    answer = connection.getresponse()
    said = answer.read()
    if answer.status >= 400:
        sys.exit(f"Error: {json.loads(said)['error']}")


def main(arguments: list[str]) -> None:
    match arguments:
        case ["serve"]:
            signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # a container's first process has no default for it
            print(f"Listening on {':'.join(map(str, address()))} (version 0.32.15)", flush=True)
            ThreadingHTTPServer(address(), Api).serve_forever()
        case ["create", name, "-f", file]:
            request = modelfile(Path(file).read_text())
            for path, digest in request.get("files", {}).items():
                ask("POST", f"/api/blobs/{digest}", Path(path).read_bytes())
            files = {Path(path).name: digest for path, digest in request.get("files", {}).items()}
            ask("POST", "/api/create", json.dumps(request | {"model": name, "files": files}).encode())
            print("success")
        case ["rm", name]:
            ask("DELETE", "/api/delete", json.dumps({"model": name}).encode())
            print(f"deleted '{name}'")
        case _:
            sys.exit(f'Error: unknown command {arguments!r} for "ollama"')


if __name__ == "__main__":
    main(sys.argv[1:])
