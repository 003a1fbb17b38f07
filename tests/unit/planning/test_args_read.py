"""Options that `args` say: read by the flags of each backend, and weighed as if `options` said them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deployer import backends
from deployer.backends.base import Refused
from deployer.planning.args_read import as_said, said_in
from deployer.spec.language import Service
from deployer.values.operations import CreateContainer
from tests.support.models import shape
from tests.unit.planning.scene import hint_of, refusals_of
from tests.unit.planning.test_fitting import GIB, LLAMA, codes, scene, vllm

CARD = {"h1": (1, "RTX 4090")}


def service(args: str, **options: Any) -> Service:
    return Service.model_validate({"model": "m", "args": tuple(args.split()), "options": options})


def read(backend: str, args: str, **options: Any) -> dict[str, Any]:
    found = backends.find(backend)
    assert found is not None
    return as_said(found, service(args, **options)).options.model_dump(exclude_none=True)


@pytest.mark.parametrize(
    ("backend", "args", "options"),
    [
        (
            "vllm",
            "--max-model-len 4096 --gpu-memory-utilization=0.5",
            {"context_length": 4096, "gpu_memory_fraction": 0.5},
        ),
        ("vllm", "--max_model_len 4096 --kv_cache_dtype=fp8", {"context_length": 4096, "kv_cache_dtype": "fp8"}),
        (
            "vllm",
            "-tp 2 -pp=2 --data-parallel-size 2",
            {"tensor_parallel": 2, "pipeline_parallel": 2, "data_parallel": 2},
        ),
        (
            "vllm",
            "-q awq --dtype half --cpu-offload-gb 2.5",
            {"quantization": "awq", "dtype": "half", "cpu_offload": 2.5},
        ),
        (
            "vllm",
            "--max-num-seqs 8 --max-num-seqs 16 --enable-expert-parallel",
            {"max_concurrency": 16, "expert_parallel": True},
        ),
        (
            "sglang",
            "--context-length 512 --mem-fraction-static 0.7 --tp 4",
            {"context_length": 512, "gpu_memory_fraction": 0.7, "tensor_parallel": 4},
        ),
        ("vllm", "-tp 2 --tensor-parallel-size 4 -tp 8", {"tensor_parallel": 8}),
        ("sglang", "--kv-cache-dtype fp8_e5m2", {"kv_cache_dtype": "fp8_e5m2"}),
        ("llama.cpp", "-c 8192 -np 4", {"context_length": 2048, "max_concurrency": 4}),
        ("llama.cpp", "--ctx-size 8192 --n-gpu-layers 20", {"context_length": 8192, "cpu_offload": 20}),
        ("llama.cpp", "-ctk q8_0 --cache-type-v q8_0", {"kv_cache_dtype": "q8_0"}),
        ("lmdeploy", "--tp 2 --session-len 1024", {"tensor_parallel": 2, "context_length": 1024}),
        ("tgi", "--num-shard 2 --max-total-tokens 1024", {"tensor_parallel": 2, "context_length": 1024}),
        ("tensorrt-llm", "--tp_size 2 --max_seq_len 1024", {"tensor_parallel": 2, "context_length": 1024}),
    ],
)
def test_what_flags_say_is_the_option_that_they_are_mapped_to(backend: str, args: str, options: dict[str, Any]) -> None:
    assert read(backend, args) == options
    assert said_in(backend, tuple(args.split())).rest == ()


@pytest.mark.parametrize(
    ("backend", "args"),
    [
        ("vllm", "--max-model-len auto"), ("vllm", "--max-model-len -1"), ("vllm", "--max-model-len"),
        ("vllm", "--gpu-memory-utilization 1.5"), ("vllm", "--tensor-parallel-size 2.5"), ("vllm", "-tp 9999999999"),
        ("vllm", "--quantization --enforce-eager"), ("sglang", "--kv-cache-dtype q9"), ("llama.cpp", "-ctk q8_0"),
        ("llama.cpp", "-ctk q8_0 -ctv f16"), ("llama.cpp", "-ngl all"), ("llama.cpp", "-c 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_stays_an_argument(backend: str, args: str) -> None:
    assert read(backend, args) == {}
    assert len(said_in(backend, tuple(args.split())).unclear) == 1
    assert said_in(backend, tuple(args.split())).rest == tuple(args.split())


def test_arguments_count_more_than_options_and_others_stay() -> None:
    found = backends.find("vllm")
    assert found is not None
    said = as_said(found, service("--seed 1 --max-model-len 4096 --uds", context_length=512, dtype="half"))
    assert (said.options.context_length, said.options.dtype) == (4096, "half")
    assert said.args == ("--seed", "1", "--uds")


def test_slots_divide_the_tokens_that_the_server_is_given_for_all() -> None:
    assert read("llama.cpp", "-np 4", context_length=8192)["context_length"] == 2048
    assert read("llama.cpp", "-c 8192", max_concurrency=2)["context_length"] == 4096
    assert read("llama.cpp", "-np 4", context_length=2048, max_concurrency=4)["context_length"] == 2048


def test_each_server_that_spreads_a_model_can_be_read_over_how_many_gpus() -> None:
    for backend in backends.load_all():
        mapping = backend.options["tensor_parallel"]
        if backend.memory is not None and backend.memory.split == "tensors" and not isinstance(mapping, Refused):
            flags = getattr(mapping, "flags", ())
            assert backend.name == "nim" or flags, backend.name
            assert all(flag in backend.flags or flag.count("-") == 1 or flag == "--tp" for flag in flags), backend.name


# --- in plans ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "is_placed"),
    [
        (["--max-model-len", "16384"], True),
        (["--max-model-len", "65536"], False),
        (["--max-model-len=65536", "--kv-cache-dtype=fp8"], True),
        (["--gpu-memory-utilization", "0.5"], False),
        (["--cpu-offload-gb", "0.5", "--max-model-len", "65536"], False),
        (["--cpu-offload-gb", "8", "--max-model-len", "65536"], True),
        (["-q", "--max-model-len", "65536"], True),  # nobody knows
        (["--enforce-eager", "--max-model-len", "65536"], True),  # nobody weighs it
    ],
)
def test_a_plan_goes_by_what_arguments_say(args: list[str], is_placed: bool) -> None:
    services = vllm(tensor_parallel=1, context_length=8192)
    services["chat"]["args"] = args
    assert ("no-placement" not in codes(scene(CARD, LLAMA).plan(services))) == is_placed


def test_what_is_offered_instead_is_written_where_it_counts() -> None:
    here = scene(CARD, LLAMA)
    services = vllm(tensor_parallel=1)
    services["chat"]["args"] = ["--max-model-len", "65536"]
    found = here.plan(services)
    assert refusals_of(found)[0].endswith(
        "; it fits with `--max-model-len` 21504, `quantization` fp8, `quantization` awq or `quantization` gptq"
    )
    assert hint_of(found) == (
        "write `--max-model-len 21504` in `args` (h1 takes it then), "
        "or set `options.quantization` to fp8 (h1 takes it then)"
    )
    services["chat"]["args"] = ["--max-model-len", "21504"]
    assert here.where(services) == {"chat-0": "h1:0"}
    services["chat"]["args"] = ["--max-model-len", "32768"]
    (problem,) = here.plan(services).problems
    assert (problem.hint or "").startswith("it fits with `--max-model-len` 21504")


def test_as_many_gpus_are_taken_as_arguments_divide_a_model_over() -> None:
    here = scene({"h1": (8, "H100")}, LLAMA)
    for args, gpus in ((["-tp", "2"], "0,1"), (["-pp", "2"], "0,1"), (["-tp=2", "-pp=2"], "0,1,2,3")):
        services = vllm(context_length=8192)
        services["chat"]["args"] = args
        assert here.where(services) == {"chat-0": f"h1:{gpus}"}


def test_stages_in_arguments_leave_the_groups_what_is_left() -> None:
    here = scene({"h1": (8, "H100")}, LLAMA)
    services = vllm(context_length=8192)
    services["chat"] |= {"args": ["--pipeline-parallel-size", "2"], "placement": {"gpus": 4}}
    command = next(
        s.operation.spec.command for s in here.plan(services).steps if isinstance(s.operation, CreateContainer)
    )
    assert command[command.index("--tensor-parallel-size") + 1] == "2"
    assert command[-2:] == ("--pipeline-parallel-size", "2")


# --- weights that stay in the host's memory ------------------------------------------------------


@pytest.mark.parametrize("backend", ["vllm", "sglang"])
def test_weights_that_are_left_to_the_host_need_no_memory_of_the_gpu(backend: str) -> None:
    here = scene(CARD, shape("Qwen2.5-32B"))
    options = {"tensor_parallel": 1, "context_length": 4096}

    def placed(offload: float) -> bool:
        found = here.plan({"chat": {"backend": backend, "options": options | {"cpu_offload": offload}}})
        return "no-placement" not in codes(found)

    assert not placed(0)
    assert not placed(20)
    assert placed(50)
    assert placed(5000), "of its layers no more than all"


def test_a_refusal_says_what_is_needed_beside_what_the_host_has() -> None:
    here = scene(CARD, LLAMA)
    (line,) = refusals_of(here.plan(vllm(tensor_parallel=1, context_length=65536, cpu_offload=1)))
    assert "`m` needs 24.4 GiB of each GPU, and `vllm` may take 21.7 GiB" in line


def test_layers_that_are_left_to_processors_need_no_memory_of_the_gpu() -> None:
    gguf = replace(shape("Llama-3.1-70B"), is_gguf=True)
    here = scene({"h1": (1, "RTX 4090")}, gguf, size=40 * GIB)
    chat = {"model": "g", "backend": "llama.cpp", "placement": {"gpus": 1}, "options": {"context_length": 4096}}

    def problems(**changes: Any) -> list[tuple[str, str]]:
        return [(one.code, one.hint or "") for one in here.plan({"chat": chat | changes}).problems]

    ((code, hint),) = problems()
    layers = int(hint.partition("`cpu_offload` ")[2].partition(" ")[0])
    assert (code, 30 < layers < 60) == ("does-not-fit", True), hint
    for fewer in ({"options": {"context_length": 4096, "cpu_offload": layers}}, {"args": ["-ngl", str(layers)]}):
        assert [code for code, _ in problems(**fewer)] == ["host-memory-short"]
    (still, _) = problems(args=["-ngl", str(layers + 20)])
    assert still == ("does-not-fit", f"it fits with `-ngl` {layers} or `tensor_parallel` 2")
