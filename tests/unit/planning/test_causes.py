"""Which line of a log counts: the first that tells a cause, never one that is harmless."""

from __future__ import annotations

import pytest

from deployer.planning.causes import Ended, find_cause

OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.96 GiB."
ARCH = "ValueError: Model architectures ['FooForCausalLM'] are not supported for now."
WRAPPER = "RuntimeError: Engine core initialization failed. See root cause above."
PORT = "[Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use"


def found(*lines: str, backend: str = "vllm", **ending: object) -> str | None:
    cause = find_cause(Ended(lines, backend, **ending))  # type: ignore[arg-type]
    return cause.id if cause is not None else None


def test_the_first_cause_counts_and_not_what_wraps_it() -> None:
    assert found("starting", ARCH, OOM, WRAPPER) == "vllm.arch"
    assert found("starting", OOM, ARCH, WRAPPER) == "cuda.oom_torch"
    assert found("starting", WRAPPER) is None


def test_a_general_text_counts_only_where_no_telling_one_is_there() -> None:
    assert found(PORT, ARCH) == "vllm.arch"
    assert found(PORT) == "port.in_use_errno98"


def test_what_a_request_brings_about_counts_last() -> None:
    asked = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."
    assert found(asked, OOM) == "cuda.oom_torch"
    assert found(asked, PORT) == "port.in_use_errno98"
    assert found(asked) == "vllm.ctx_request"


def test_only_texts_of_the_backend_are_looked_for() -> None:
    said = "sglang says: Scheduler: Not enough memory. Please try to increase --mem-fraction-static."
    assert found(said, backend="sglang") == "sglang.mem_static"
    assert found(said, backend="llama.cpp") is None
    assert found(said, backend="") == "sglang.mem_static"


def test_docker_says_what_docker_says_and_a_log_does_not() -> None:
    refused = "unauthorized: authentication required"
    assert found(refused, docker="") is None
    assert found("loading", docker=refused) == "docker.unauthorized"
    assert found(ARCH, docker="error while starting: no such device") == "vllm.arch"


def test_out_of_memory_is_told_by_docker() -> None:
    assert found("loading weights", out_of_memory=True) == "oom.killed"
    assert found(OOM, out_of_memory=True) == "oom.killed"


@pytest.mark.parametrize(
    "line",
    [
        'INFO:     127.0.0.1:43210 - "GET /v1/models HTTP/1.1" 401 Unauthorized',
        'INFO:     127.0.0.1:43210 - "POST /v1/rerank HTTP/1.1" 403 Forbidden',
        "INFO config.py: non-default args: {'trust_remote_code': True}",
        "INFO [core.py:80] Initializing an LLM engine with config: model='/models/m', trust_remote_code=True",
        "INFO [worker.py:300] Available KV cache memory: 41.41 GiB",
        "INFO [kv_cache_utils.py:1087] Maximum concurrency for 8,192 tokens per request: 41.40x",
        "ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected",
        'level=INFO source=types.go:62 msg="inference compute" id=cpu library=cpu',
    ],
)
def test_lines_of_servers_that_are_well(line: str) -> None:
    for backend in ("", "vllm", "nim", "llama.cpp", "ollama"):
        assert found(line, backend=backend) is None


def test_what_the_line_says_is_in_the_hint() -> None:
    line = (
        "ValueError: Free memory on device cuda:0 (10.1/23.6 GiB) on startup is less than desired GPU memory "
        "utilization (0.92, 21.7 GiB)."
    )
    cause = find_cause(Ended((line,), "vllm"))
    assert cause is not None
    assert cause.what == "others hold memory of the GPU: 10.1 of 23.6 GiB are free, and it wants 0.92 of all"
    assert cause.hint("services.chat") == "services.chat: stop them, or lower `options.gpu_memory_fraction`"
    assert cause.gpu


def test_a_hostile_log_is_looked_through_all_the_same() -> None:
    lines = [f"{'max seq len (' * 300}{number}" for number in range(1000)]
    assert found(*lines, OOM, backend="") == "cuda.oom_torch"
