"""A stand-in for a model server, for what a real one does not do on demand. Test fixture; standard library only.

It takes llama-server's flags, or with --as-vllm as first argument vLLM's, and like them refuses a flag it does not
have. STANDIN_MODE says how it misbehaves:

    ok          answers
    exit        exits at once with code 3
    unready     listens, and its health says 503 for ever
    dies        is healthy and exits at the first request
    nonsense    is healthy and answers requests with empty content
    hangs       is healthy and never answers a request
    refuses     is healthy and answers requests with 500

STANDIN_DELAY: seconds until it is ready.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODE = os.environ.get("STANDIN_MODE", "ok")
DELAY = float(os.environ.get("STANDIN_DELAY", "0"))
STARTED = time.monotonic()


def llama_flags() -> argparse.ArgumentParser:
    """The flags of llama-server that deployments use (llama.cpp tools/server/README.md)."""
    p = argparse.ArgumentParser(prog="llama-server", allow_abbrev=False)
    p.add_argument("-m", "--model")
    p.add_argument("-a", "--alias")
    p.add_argument("--host", default="0.0.0.0")
    p.add_argument("--port", type=int, default=8080)
    p.add_argument("-c", "--ctx-size", type=int)
    p.add_argument("-t", "--threads", type=int)
    p.add_argument("-np", "--parallel", type=int)
    p.add_argument("-ngl", "--n-gpu-layers", "--gpu-layers")
    p.add_argument("-b", "--batch-size", type=int)
    p.add_argument("-ub", "--ubatch-size", type=int)
    p.add_argument("-ctk", "--cache-type-k")
    p.add_argument("-ctv", "--cache-type-v")
    p.add_argument("-fa", "--flash-attn")
    p.add_argument("--api-key")
    p.add_argument("--api-key-file")
    p.add_argument("--chat-template")
    p.add_argument("--chat-template-file")
    p.add_argument("--lora", action="append")
    p.add_argument("--pooling")
    p.add_argument("--reasoning-format")
    for name in (
        "--embedding",
        "--embeddings",
        "--reranking",
        "--jinja",
        "--no-webui",
        "--metrics",
        "--offline",
        "--no-cache-prompt",
        "--cache-prompt",
    ):
        p.add_argument(name, action="store_true")
    return p


def vllm_flags() -> argparse.ArgumentParser:
    """The flags of `vllm serve` that deployments use (vLLM 0.11, docs.vllm.ai/en/v0.11.0/cli/serve)."""
    p = argparse.ArgumentParser(prog="vllm serve", allow_abbrev=False)
    p.add_argument("model_tag", nargs="?")
    p.add_argument("--model")
    p.add_argument("--served-model-name", nargs="+")
    p.add_argument("--host", default="0.0.0.0")
    p.add_argument("--port", type=int, default=8000)
    for name in (
        "max-model-len",
        "tensor-parallel-size",
        "pipeline-parallel-size",
        "data-parallel-size",
        "max-num-seqs",
        "max-num-batched-tokens",
        "seed",
    ):
        p.add_argument(f"--{name}", type=int)
    p.add_argument("--gpu-memory-utilization", type=float)
    p.add_argument("--cpu-offload-gb", type=float)
    for name in (
        "dtype",
        "quantization",
        "kv-cache-dtype",
        "revision",
        "code-revision",
        "tokenizer",
        "chat-template",
        "reasoning-parser",
        "tool-call-parser",
        "speculative-config",
        "runner",
        "convert",
        "load-format",
        "download-dir",
        "override-generation-config",
        "kv-cache-memory-bytes",
        "api-key",
    ):
        p.add_argument(f"--{name}")
    p.add_argument("--lora-modules", nargs="+")
    for name in ("enable-prefix-caching", "enable-chunked-prefill", "enable-expert-parallel"):
        p.add_argument(f"--{name}", action=argparse.BooleanOptionalAction)
    for name in (
        "trust-remote-code",
        "enable-auto-tool-choice",
        "enforce-eager",
        "enable-lora",
        "disable-log-stats",
        "disable-log-requests",
    ):
        p.add_argument(f"--{name}", action="store_true")
    return p


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    models: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    embedding = False
    vllm = False

    def log_message(self, format: str, *args: object) -> None:
        print(self.address_string(), format % args, flush=True)

    def answer(self, status: int, body: object) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def allowed(self) -> bool:
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.keys and given not in self.keys:
            self.answer(401, {"error": {"message": "Invalid API Key", "type": "authentication_error", "code": 401}})
            return False
        return True

    def do_GET(self) -> None:
        ready = MODE != "unready" and time.monotonic() - STARTED >= DELAY
        if self.path == "/health" and ready:
            return self.answer(200, None if self.vllm else {"status": "ok"})
        if self.path == "/health" or not ready:
            error = {"message": "Loading model", "type": "unavailable_error", "code": 503}
            return self.answer(503, {"error": error})
        if self.path == "/v1/models" and self.allowed():
            data = [{"id": name, "object": "model", "created": 0, "owned_by": "stand-in"} for name in self.models]
            return self.answer(200, {"object": "list", "data": data})
        return self.answer(404, {"error": {"message": "not found", "code": 404}}) if self.path != "/v1/models" else None

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if not self.allowed():
            return None
        if MODE == "dies":
            print("Unsupported CPU attention configuration", flush=True)
            os._exit(1)
        if MODE == "hangs":
            threading.Event().wait()
        if MODE == "refuses":
            return self.answer(500, {"error": {"message": "EngineCore encountered an issue", "code": 500}})
        return self.answer(*self.reply(json.loads(body)))

    def reply(self, request: dict[str, object]) -> tuple[int, object]:
        if self.vllm and request.get("model") not in self.models:
            message = f"The model `{request.get('model')}` does not exist."
            return 404, {"error": {"message": message, "type": "NotFoundError", "code": 404}}
        text = "" if MODE == "nonsense" else "Paris."
        usage = {"prompt_tokens": 5, "completion_tokens": len(text), "total_tokens": 5 + len(text)}
        common = {"id": "stand-in", "created": 0, "model": request.get("model"), "usage": usage}
        match self.path:
            case "/v1/chat/completions":
                choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                return 200, {**common, "object": "chat.completion", "choices": [choice]}
            case "/v1/completions":
                choice = {"index": 0, "text": text, "finish_reason": "stop"}
                return 200, {**common, "object": "text_completion", "choices": [choice]}
            case "/v1/embeddings" if self.embedding:
                vector = [0.0] * 8 if MODE == "nonsense" else [0.1 * i for i in range(8)]
                return 200, {
                    **common,
                    "object": "list",
                    "data": [{"index": 0, "object": "embedding", "embedding": vector}],
                }
        return 404, {"detail": "Not Found"}


def main() -> None:
    args = sys.argv[1:]
    Api.vllm = args[:1] == ["--as-vllm"]
    args = args[1:] if Api.vllm else args
    args = args[1:] if args[:1] == ["serve"] else args
    options = (vllm_flags() if Api.vllm else llama_flags()).parse_args(args)
    print("arguments:", json.dumps(args), flush=True)
    model = getattr(options, "model_tag", None) or options.model or "model"
    if not Path(model).exists():
        sys.exit(f"error: failed to open model '{model}'")
    if MODE == "exit":
        sys.exit("error: invalid configuration, giving up") if DELAY == 0 else time.sleep(DELAY)
    if Api.vllm:
        Api.models = tuple(options.served_model_name or [model])
        Api.keys = tuple(filter(None, [options.api_key or os.environ.get("VLLM_API_KEY")]))
        Api.embedding = options.runner == "pooling"
    else:
        Api.models = tuple((options.alias or Path(model).name).split(","))
        Api.keys = keys_of_llama(options)
        Api.embedding = options.embedding or options.embeddings
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # a container's first process has no default for it
    ThreadingHTTPServer((options.host, options.port), Api).serve_forever()


def keys_of_llama(options: argparse.Namespace) -> tuple[str, ...]:
    if options.api_key_file:
        return tuple(filter(None, map(str.strip, Path(options.api_key_file).read_text().splitlines())))
    return tuple(filter(None, [options.api_key or os.environ.get("LLAMA_API_KEY")]))


if __name__ == "__main__":
    main()
