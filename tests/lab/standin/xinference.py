#!/usr/bin/python3
"""A stand-in for `xinference-local`: launches by request, and nothing remembered. Standard library only.

What it answers, and when it refuses, is as in Xinference's api/restful_api.py and core/supervisor.py (4.1). It knows
the models bge-m3, bge-reranker-v2-m3, qwen2.5-instruct and GOT-OCR2_0. STANDIN_LAUNCH: seconds that a launch takes.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KNOWN = {
    "bge-m3": ("embedding", ["embed"]),
    "bge-reranker-v2-m3": ("rerank", ["rerank"]),
    "qwen2.5-instruct": ("LLM", ["chat"]),
    "GOT-OCR2_0": ("image", ["ocr"]),
}
LAUNCH_SECONDS = float(os.environ.get("STANDIN_LAUNCH", "0"))
LOCK = threading.Lock()
RUNNING: dict[str, dict[str, Any]] = {}
BEGUN: set[str] = set()


class Refusal(Exception):
    def __init__(self, status: int, detail: str) -> None:
        self.status, self.detail = status, detail
        super().__init__(detail)


def launch(request: dict[str, Any]) -> dict[str, Any]:
    """A uid is taken from the first moment, and listed when its model is loaded."""
    uid, name, kind = request.get("model_uid"), request.get("model_name"), request.get("model_type", "LLM")
    if not name:
        raise Refusal(400, "Invalid input. Please specify the `model_name` field.")
    if kind == "LLM" and not request.get("model_engine"):
        raise Refusal(400, "Invalid input. Please specify the `model_engine` field.")
    with LOCK:
        if uid in BEGUN:
            raise Refusal(400, f"Model is already in the model list, uid: {uid}")
        BEGUN.add(str(uid))
    try:
        time.sleep(LAUNCH_SECONDS)
        if KNOWN.get(name, ("", []))[0] != kind:
            raise Refusal(400, f"Model not found, name: {name}")
        path = request.get("model_path")
        if path is not None and not Path(path).exists():
            raise Refusal(400, f"Invalid input. `model_path`: {path} File or directory does not exist.")
    except Refusal:
        BEGUN.discard(str(uid))
        raise
    RUNNING[str(uid)] = {"model_name": name, "model_type": kind, "model_ability": KNOWN[name][1]}
    return {"model_uid": uid}


def terminate(uid: str) -> None:
    if uid not in RUNNING:
        raise Refusal(400, f"Model not found in the model list, uid: {uid}")
    del RUNNING[uid]
    BEGUN.discard(uid)


def answer_of(path: str, request: dict[str, Any]) -> dict[str, Any]:
    found = RUNNING.get(str(request.get("model")))
    if found is None:
        raise Refusal(400, f"Model not found in the model list, uid: {request.get('model')}")
    match path, found["model_type"]:
        case "/v1/embeddings", "embedding":
            return {"object": "list", "data": [{"index": 0, "embedding": [0.1 * i for i in range(16)]}]}
        case "/v1/rerank", "rerank":
            scores = [{"index": i, "relevance_score": 1.0 / (i + 1)} for i, _ in enumerate(request["documents"])]
            return {"id": "1", "results": scores}
        case "/v1/chat/completions", "LLM":
            return {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris."}}]}
    raise Refusal(400, f"Model {request.get('model')} is not for {path}")


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        print(self.address_string(), format % args, flush=True)

    def answer(self, status: int, body: object) -> None:
        data = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        return found

    def do_GET(self) -> None:
        if self.path == "/status":
            return self.answer(200, {})
        if self.path == "/v1/models":
            listed = [
                {"id": uid, "object": "model", "owned_by": "xinference", **model} for uid, model in RUNNING.items()
            ]
            return self.answer(200, {"object": "list", "data": listed})
        return self.answer(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        request = self.body()
        try:
            is_launch = self.path.partition("?")[0] == "/v1/models"
            self.answer(200, launch(request) if is_launch else answer_of(self.path, request))
        except Refusal as refusal:
            self.answer(refusal.status, {"detail": refusal.detail})

    def do_DELETE(self) -> None:
        try:
            self.answer(200, terminate(self.path.removeprefix("/v1/models/")))
        except Refusal as refusal:
            self.answer(refusal.status, {"detail": refusal.detail})


def main() -> None:
    p = argparse.ArgumentParser(prog="xinference-local")
    p.add_argument("-H", "--host", default="127.0.0.1")
    p.add_argument("-p", "--port", type=int, default=9997)
    p.add_argument("--log-level")
    options = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(f"Starting Xinference at endpoint: http://{options.host}:{options.port}", flush=True)
    ThreadingHTTPServer((options.host, options.port), Api).serve_forever()


if __name__ == "__main__":
    main()
