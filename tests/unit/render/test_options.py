"""What a backend refuses of a service."""

from __future__ import annotations

from typing import Any

import pytest

from deployer import backends
from deployer.errors import Severity
from deployer.planning.render_options import check_options
from tests.support.rendering import project_of

FOLDER = {"tiny": {"source": "file:///srv/models/tiny"}}
TEI = "ghcr.io/huggingface/text-embeddings-inference:"


def found(service: dict[str, Any], backend: str = "vllm") -> list[tuple[str, str]]:
    chosen = backends.find(backend)
    assert chosen is not None
    problems = check_options(project_of(service, models=FOLDER), "chat", chosen)
    assert all("chat" in d.message for d in problems)
    assert all(d.hint and not d.message.endswith(".") for d in problems)
    return [(d.code, d.severity) for d in problems]


def test_nothing_is_refused_of_nothing() -> None:
    for backend in backends.load_all():
        notice = [("backend-notice", Severity.WARNING)] if backend.notice else []
        missing = [("args-missing", Severity.ERROR)] if backend.needs_args else []
        wanted = [("env-missing", Severity.WARNING)] * len(backend.wants_env)
        assert found({}, backend.name) == notice + missing + wanted


@pytest.mark.parametrize(
    ("service", "backend", "code"),
    [
        ({"options": {"pipeline_parallel": 2}}, "llama.cpp", "option-refused"),
        ({"options": {"kv_cache_dtype": "fp8"}}, "llama.cpp", "option-refused"),
        ({"options": {"reasoning_parser": "qwen9"}}, "llama.cpp", "option-refused"),
        ({"options": {"expert_parallel": True}}, "llama.cpp", "option-refused"),
        ({"options": {"cpu_offload": "auto"}}, "vllm", "option-refused"),
        ({"options": {"api_key": [{"secret": "a"}, {"secret": "b"}]}}, "vllm", "option-refused"),
        ({"args": ["--enable-reasoning"]}, "vllm", "flag-removed"),
        ({"args": ["--task=embed"]}, "vllm", "flag-removed"),
        ({"args": ["--disable_log_requests"]}, "vllm", "flag-removed"),
        ({"args": ["--runner", "pooling"], "version": "v0.9.2"}, "vllm", "flag-too-new"),
        ({"args": ["--runner", "pooling"], "image": "docker.io/vllm/vllm-openai:v0.9.2"}, "vllm", "flag-too-new"),
        ({"args": ["--runner"], "version": "v0.9.2", "image": "mine:1"}, "vllm", "flag-too-new"),
        ({"args": ["--draft-max", 4]}, "llama.cpp", "flag-removed"),
        ({"served_name": ["a", "b"]}, "sglang", "names-refused"),
        ({"options": {"gpu_memory": "12g"}}, "sglang", "option-refused"),
        ({"options": {"api_key": [{"secret": "a"}, {"secret": "b"}]}}, "sglang", "option-refused"),
        ({"options": {"api_key": {"secret": "a"}}, "args": ["--config=/x.yaml"]}, "sglang", "flag-taken"),
        ({"options": {"api_key": {"secret": "a"}}, "version": "v0.5.1"}, "sglang", "flag-too-new"),
        ({"options": {"speculative": {"model": "d", "tokens": 4}}, "version": "v0.4.10"}, "sglang", "flag-too-new"),
        ({"args": ["--enable-ep-moe"]}, "sglang", "flag-removed"),
        ({"served_name": ["a", "b"]}, "infinity", "names-refused"),
        ({"options": {"tensor_parallel": 2}}, "tei", "option-refused"),
        ({"options": {"dtype": "bfloat16"}}, "tei", "option-refused"),
        ({"args": ["--served-model-name=x"], "image": TEI + "89-1.8"}, "tei", "flag-too-new"),
        ({"args": ["--served-model-name=x"], "image": TEI + "cuda-1.8.3"}, "tei", "flag-too-new"),
        ({"args": ["--kt-method", "BF16"]}, "ktransformers", "args-missing"),
        ({"options": {"context_length": 4096}}, "container", "option-refused"),
        ({"options": {"api_key": {"secret": "a"}}}, "container", "option-refused"),
        ({"options": {"api_key": {"secret": "a"}}, "env": {"K": {"secret": "b"}}}, "container", "option-refused"),
        ({"options": {"kv_cache_dtype": "fp8"}, "version": "v0.11.1-cu12"}, "lmdeploy", "flag-too-new"),
        ({"args": ["--quant-policy=16"], "version": "v0.11.1-cu12"}, "lmdeploy", "flag-too-new"),
        ({"options": {"api_key": {"secret": "a"}}}, "lmdeploy", "option-refused"),
        ({"options": {"kv_cache_dtype": "fp8"}, "args": ["--config", "x"]}, "trtllm", "flag-taken"),
        ({"options": {"lora": {"a": "/a"}}}, "trtllm", "option-refused"),
        ({"args": ["--stream-output"], "image": "lmsysorg/sglang:v0.5.23-cu130"}, "sglang", "flag-removed"),
        ({"args": ["--lora-strict-loading"], "version": "v0.5.9"}, "sglang", "flag-too-new"),
    ],
)
def test_errors(service: dict[str, Any], backend: str, code: str) -> None:
    assert found(service, backend) == [(code, Severity.ERROR)]


@pytest.mark.parametrize(
    ("service", "backend", "code"),
    [
        ({"args": ["--max-model-lem", 4096]}, "vllm", "unknown-flag"),
        ({"args": ["--max-logprob", 20]}, "vllm", "unknown-flag"),  # of a flag whose releases are not known
        ({"args": ["--embeding"]}, "llama.cpp", "unknown-flag"),
        ({"args": ["--tp-sise=2"]}, "sglang", "unknown-flag"),
        ({"args": ["--nothing-like-it"]}, "sglang", "unknown-flag"),
        ({"args": ["--poling=cls"]}, "tei", "unknown-flag"),
        ({"args": ["--tp-size", 2]}, "trtllm", "unknown-flag"),  # its flags have no dashes
        ({"served_name": "a"}, "trtllm", "name-not-listed"),
        ({"container": {"ipc": "host", "shm_size": "1g"}}, "vllm", "shm-size-ignored"),
        ({"container": {"command": ["serve"]}, "args": ["--enforce-eager"]}, "vllm", "args-ignored"),
    ],
)
def test_warnings(service: dict[str, Any], backend: str, code: str) -> None:
    assert found(service, backend) == [(code, Severity.WARNING)]


@pytest.mark.parametrize(
    ("service", "backend"),
    [
        ({"options": {"pipeline_parallel": 1, "trust_remote_code": False, "expert_parallel": 1}}, "llama.cpp"),
        ({"options": {"kv_cache_dtype": "auto", "cpu_offload": "auto"}}, "llama.cpp"),
        ({"options": {"cpu_offload": 4}}, "vllm"),
        ({"args": ["--task", "embed"], "version": "v0.9.2"}, "vllm"),
        ({"args": ["--task", "embed"], "image": "vllm/vllm-openai:v0.9.2"}, "vllm"),
        ({"args": ["--no-enable-prefix-caching", "--enforce-eager", "positional", "-1"]}, "vllm"),
        ({"args": ["--max-cpu-loras", "--enable-lora-bias", "--data-parallel-external-lb"]}, "vllm"),
        ({"args": ["--draft-max", 4], "version": "b4719"}, "llama.cpp"),
        ({"args": ["--tp", 2, "--no-lora-strict-loading"]}, "sglang"),
        ({"args": ["--lora-strict-loading"], "version": "v0.5.10"}, "sglang"),  # not looked into: it may have it
        ({"args": ["--enable-ep-moe"], "image": "lmsysorg/sglang:v0.5.1.post3-cu126"}, "sglang"),
        ({"options": {"lora": {"a": "/a"}}, "version": "v0.4.6"}, "sglang"),
        ({"args": ["--served-model-name=x"], "image": TEI + "1.9"}, "tei"),
        ({"options": {"prefix_cache": False, "kv_cache_dtype": "auto", "cpu_offload": "none"}}, "tei"),
        ({"served_name": ["a", "b"]}, "tei"),
        ({"options": {"api_key": {"secret": "a"}}, "env": {"K": {"secret": "a"}}}, "container"),
        ({"options": {"api_key": {"secret": "a"}}, "container": {"secret_files": {"/k": "a"}}}, "custom"),
        ({"args": ["--anything", "--at-all=1"], "served_name": ["a", "b"]}, "container"),
        ({"options": {"kv_cache_dtype": "int8"}, "version": "v0.11.1-cu12"}, "lmdeploy"),
        ({"args": ["--quant-policy", 8, "--server_port=1"]}, "lmdeploy"),
        ({"options": {"kv_cache_dtype": "fp8"}}, "lmdeploy"),
        ({"options": {"gpu_memory_fraction": 0.8}, "args": ["--config", "x"]}, "trtllm"),
        ({"served_name": "a", "version": "1.3.0rc5"}, "trtllm"),
        ({"args": ["--kt-method=BF16", "--kt-weight-path", "${model.path}", "--kt-cpuinfer=64"]}, "ktransformers"),
    ],
)
def test_what_is_fine(service: dict[str, Any], backend: str) -> None:
    assert found(service, backend) == []


def test_a_backend_that_nobody_maintains_is_said_to_be_that() -> None:
    service = {"served_name": "a", "args": ["--disable-usage-stats"]}
    assert found(service, "tgi") == [
        ("backend-notice", Severity.WARNING),
        ("flag-removed", Severity.ERROR),
        ("name-not-listed", Severity.WARNING),
    ]
    assert ("flag-too-new", Severity.ERROR) in found({"options": {"lora": {"a": "/a"}}, "version": "2.0.4"}, "tgi")


def test_a_gguf_file_is_not_for_every_backend() -> None:
    for name, codes in (
        ("vllm", ["format-unsuited"]),
        ("tei", ["format-unsuited"]),
        ("llama.cpp", []),
        ("container", []),
    ):
        chosen = backends.find(name)
        assert chosen is not None
        assert [d.code for d in check_options(project_of({}), "chat", chosen)] == codes


@pytest.mark.parametrize(
    ("written", "code"), [("llama-box", "backend-replaced"), ("Llama-Box", "backend-replaced"), ("llama-server", None)]
)
def test_what_took_the_place_of_another_says_so(written: str, code: str | None) -> None:
    assert found({"backend": written}, written) == ([(code, Severity.WARNING)] if code else [])


def test_a_backend_of_ones_own_that_extends_what_was_replaced() -> None:
    chosen = backends.find("llama.cpp")
    assert chosen is not None
    project = project_of({"backend": "mine"}, backends={"mine": {"extends": "llama-box"}})
    assert [d.code for d in check_options(project, "chat", chosen)] == ["backend-replaced"]


def test_the_successor_is_named() -> None:
    chosen = backends.find("vllm")
    assert chosen is not None
    (problem,) = check_options(project_of({"args": ["--task", "embed"]}, models=FOLDER), "chat", chosen)
    assert "0.13.0" in problem.message
    assert problem.hint == "write `--runner` and `--convert`"


def test_what_lacks_a_flag_says_since_when_it_is_there_and_what_needs_it() -> None:
    chosen = backends.find("sglang")
    assert chosen is not None
    service = {"options": {"speculative": {"model": "d", "tokens": 4}}, "version": "v0.4.10"}
    (problem,) = check_options(project_of(service, models=FOLDER), "chat", chosen)
    assert problem.message == (
        "`sglang` v0.4.10 has no `--speculative-algorithm=STANDALONE` yet, which `speculative` needs: "
        "0.5.1 was still without it (service `chat`)"
    )
    assert problem.hint == "raise `version` to 0.5.4 or later, or remove the option"


@pytest.mark.parametrize(
    ("backend", "service", "message", "hint"),
    [
        ("vllm", {"args": ["--task", "embed"]}, "0.13.0 came without it", "`--runner` and `--convert`"),
        (
            "vllm",
            {"args": ["--enable-reasoning"], "version": "v0.10.0"},
            "v0.10.0 has no `--enable-reasoning` any more: 0.10.0 came without it",
            "write `--reasoning-parser` alone",
        ),
        ("vllm", {"args": ["--runner=pooling"], "version": "v0.9.2"}, "`--runner` yet", "to 0.10.2 or later"),
        ("vllm", {"args": ["--max-model-lem", 1]}, "is not known to have `--max-model-lem`", "mean `--max-model-len`?"),
        ("sglang", {"args": ["--enable-ep-moe"]}, "0.5.4 came without it", "write `--ep-size`"),
        ("sglang", {"args": ["--tp-sise=2"]}, "is not known to have `--tp-sise`", "mean `--tp-size`?"),
        ("llama.cpp", {"args": ["--draft-max", 4]}, "11434 came without it", "write `--spec-draft-n-max`"),
        ("tei", {"args": ["--served-model-name=x"], "version": "1.8.3"}, "still without it", "raise `version`"),
        ("tgi", {"args": ["--disable-usage-stats"]}, "2.3.1 came without it", "write `--usage-stats off`"),
    ],
)  # fmt: skip
def test_a_flag_that_came_or_went_says_when_and_what_to_write(
    backend: str, service: dict[str, Any], message: str, hint: str
) -> None:
    chosen = backends.find(backend)
    assert chosen is not None
    problems = check_options(project_of(service, models=FOLDER), "chat", chosen)
    (problem,) = [problem for problem in problems if "flag" in problem.code]
    assert message in problem.message
    assert hint in (problem.hint or "")


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_how_much_of_a_gpu_is_taken_is_left_to_the_version_unless_the_spec_says_it(name: str) -> None:
    """vLLM's own default was 0.9 and is 0.92; SGLang's depends on the GPU."""
    from deployer.planning.render import render_container
    from tests.support.rendering import placed_request

    flag = {"vllm": "--gpu-memory-utilization", "sglang": "--mem-fraction-static"}[name]
    commands = [
        render_container(placed_request(project_of({"options": options}), name, gpus=("GPU-a",))).command
        for options in ({}, {"gpu_memory_fraction": 0.8})
    ]
    assert flag not in commands[0]
    assert commands[1][commands[1].index(flag) + 1] in ("0.8", 0.8)


def test_sglang_is_asked_where_every_version_tells_whether_it_serves() -> None:
    """`/health` answered 200 at once before 0.5; `/health_generate` makes the model say a token in all of them."""
    chosen = backends.find("sglang")
    assert chosen is not None
    assert chosen.api.health == "/health_generate"
