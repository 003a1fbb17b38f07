"""Whether what a spec asks fits into the GPUs of its hosts: refused, spread over more, or worth a look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deployer.catalog.gpus import find_gpu
from deployer.planning.planner import plan
from deployer.planning.sizing import card_of
from deployer.spec.load import load
from deployer.values.facts import DockerFacts, HostFacts
from deployer.values.gpu_facts import Gpu, GpuFacts
from deployer.values.model_shape import ModelShape, Quantized, Tower
from deployer.values.resolved import Resolved
from tests.support.models import shape
from tests.support.planning import MODEL
from tests.unit.planning.scene import Scene, hint_of, refusals_of

GIB = 1 << 30
FOLDER = "/srv/models/m"
SPEC = f"""
version: 1
project: lab
id: "1"
hosts: {{h1: {{connection: local}}}}
models: {{m: {{source: "file://{FOLDER}"}}}}
backends: BACKENDS
services: {{chat: {{model: m, options: {{tensor_parallel: 1, context_length: 65536}}}}}}
"""


def cards(facts: HostFacts, name: str) -> tuple[Gpu, ...]:
    model = find_gpu(name)
    assert model is not None
    capability = ".".join(map(str, model.capability or ()))
    count = range(len(facts.gpus))
    return tuple(
        Gpu(i, f"GPU-{facts.name}-{i}", model.name, model.memory, compute_capability=capability) for i in count
    )


def hosts_with(
    gpus: dict[str, str], model: ModelShape | None, size: int = 1, **gpu: Any
) -> Callable[[HostFacts], HostFacts]:
    """`gpus`: kind by host."""

    def seen(facts: HostFacts) -> HostFacts:
        paths = {path: replace(fact, shape=model, size=size) for path, fact in facts.paths.items()}
        if FOLDER in paths:
            paths[FOLDER] = replace(paths[FOLDER], kind="directory", entries=("config.json", "model.safetensors"))
        return replace(facts, paths=paths, gpu=GpuFacts(gpus=cards(facts, gpus[facts.name]), **gpu))

    return seen


def scene(gpus: dict[str, tuple[int, str]], model: ModelShape | None, size: int = 1, **gpu: Any) -> Scene:
    kinds = {host: kind for host, (_, kind) in gpus.items()}
    models = {"m": {"source": f"file://{FOLDER}"}, "g": {"source": f"file://{MODEL}"}}
    seen = hosts_with(kinds, model, size, **gpu)
    return Scene({host: count for host, (count, _) in gpus.items()}, sections={"models": models}, seen=seen)


def vllm(**options: Any) -> dict[str, dict[str, Any]]:
    return {"chat": {"backend": "vllm", "options": options}}


def codes(found: Any) -> list[str]:
    return [problem.code for problem in found.problems]


LLAMA = shape("Llama-3.1-8B")
LARGE = shape("Llama-3.1-70B")


def test_a_host_whose_gpus_are_too_small_is_not_taken() -> None:
    here = scene({"h1": (4, "T4"), "h2": (4, "H100")}, LLAMA)
    assert here.where(vllm(tensor_parallel=1, context_length=8192)) == {"chat-0": "h2:0"}


def test_a_refusal_says_what_is_needed_and_what_would_fit() -> None:
    here = scene({"h1": (1, "RTX 4090")}, LLAMA)
    found = here.plan(vllm(tensor_parallel=1, context_length=65536))
    assert refusals_of(found) == [
        "h1  1 x NVIDIA GeForce RTX 4090: `m` needs 25.4 GiB of each GPU, and `vllm` may take 21.7 GiB; it fits with "
        "`context_length` 21504, `quantization` fp8, `quantization` awq or `quantization` gptq",
    ]
    assert hint_of(found) == (
        "set `options.context_length` to 21504 (h1 takes it then), "
        "or set `options.quantization` to fp8 (h1 takes it then)"
    )
    assert here.where(vllm(tensor_parallel=1, context_length=21504)) == {"chat-0": "h1:0"}


def test_what_is_too_large_for_the_gpus_does_not_go_to_a_processor_unasked() -> None:
    here = scene({"h1": (1, "RTX 4090"), "h2": (0, "T4")}, LLAMA)
    services = vllm(context_length=65536)
    assert refusals_of(here.plan(services))[1] == (
        "h2  has no GPU, and it does not fit on those of others; `placement.gpus: none` puts it here"
    )
    services["chat"]["placement"] = {"gpus": "none"}
    assert here.where(services) == {"chat-0": "h1"}
    assert here.where(vllm(context_length=8192)) == {"chat-0": "h1:0"}


def test_the_smallest_group_is_taken_where_nobody_says_how_many() -> None:
    here = scene({"h1": (8, "H100")}, LARGE)
    assert here.where(vllm(context_length=8192)) == {"chat-0": "h1:0,1,2,3"}
    assert scene({"h1": (8, "H200")}, LARGE).where(vllm(context_length=8192)) == {"chat-0": "h1:0,1"}
    assert scene({"h1": (2, "H100")}, LARGE).where(vllm(context_length=8192)) == {"chat-0": "h1:0,1"}
    assert scene({"h1": (8, "H200")}, None).where(vllm(context_length=8192)) == {"chat-0": "h1:0"}


def test_a_group_stays_as_large_as_it_is_while_that_is_enough() -> None:
    here = scene({"h1": (8, "H200")}, LARGE)
    here.apply(vllm(context_length=65536))
    assert here.where(vllm(context_length=65536)) == {"chat-0": "h1:0,1"}
    small = replace(LARGE, layers=8, cache=(replace(LARGE.cache[0], layers=8),))
    here.seen = hosts_with({"h1": "H200"}, small)
    assert here.where(vllm(context_length=65536)) == {"chat-0": "h1:0,1"}


def test_a_longer_context_may_take_more_gpus() -> None:
    here = scene({"h1": (4, "RTX 4090")}, LLAMA)
    here.apply(vllm(context_length=8192))
    assert here.where(vllm(context_length=8192)) == {"chat-0": "h1:0"}
    assert here.where(vllm(context_length=131072)) == {"chat-0": "h1:1,2"}, "beside what serves meanwhile"


def test_what_runs_is_not_refused_until_it_is_edited() -> None:
    here = scene({"h1": (1, "RTX 4090")}, None)
    services = vllm(tensor_parallel=1, context_length=65536)
    here.apply(services)
    here.seen = hosts_with({"h1": "RTX 4090"}, LLAMA)
    found = here.plan(services)
    assert not found.has_errors
    assert [change.action for change in found.changes] == ["keep"]
    assert "no-placement" in codes(here.plan(vllm(tensor_parallel=1, context_length=131072)))


def test_a_small_gpu_beside_a_large_one() -> None:
    def mixed(facts: HostFacts) -> HostFacts:
        one, two, three = cards(facts, "GTX 1650")[0], cards(facts, "L4")[1], cards(facts, "H100")[2]
        return replace(seen(facts), gpu=GpuFacts(gpus=(one, two, three)))

    here = scene({"h1": (3, "H100")}, LLAMA)
    seen, here.seen = here.seen, mixed
    assert here.where(vllm(tensor_parallel=1, context_length=32768)) == {"chat-0": "h1:2"}
    assert here.where(vllm(tensor_parallel=1, context_length=512)) == {"chat-0": "h1:1"}


def test_what_runs_keeps_its_gpus_whatever_is_known_of_it_now() -> None:
    here = scene({"h1": (4, "RTX 4090")}, None)
    here.apply(vllm(context_length=131072))
    assert here.where(vllm(context_length=131072)) == {"chat-0": "h1:0"}
    here.seen = hosts_with({"h1": "RTX 4090"}, LLAMA)
    assert here.where(vllm(context_length=131072)) == {"chat-0": "h1:0"}
    here.apply(vllm(context_length=131000))
    assert here.where(vllm(context_length=131000)) == {"chat-0": "h1:1,2"}
    here.seen = hosts_with({"h1": "RTX 4090"}, None)
    assert here.where(vllm(context_length=131000)) == {"chat-0": "h1:1,2"}


def test_heads_that_cannot_be_shared() -> None:
    here = scene({"h1": (8, "RTX 4090")}, shape("Qwen2.5-7B"))
    (line,) = refusals_of(here.plan(vllm(tensor_parallel=8, context_length=8192)))
    assert line == "h1  `m` has 28 attention heads, which 8 GPUs cannot share evenly; it fits with `tensor_parallel` 4"


def test_what_is_tight_is_worth_a_look() -> None:
    found = scene({"h1": (1, "RTX 4090")}, LLAMA).plan(vllm(tensor_parallel=1, context_length=32768))
    assert not found.has_errors
    (problem,) = found.problems
    assert (problem.code, problem.severity) == ("fits-barely", "warning")
    assert problem.hint is not None
    assert problem.hint.startswith("it fits with `context_length` 21504")


def test_each_thing_is_said_once_a_service() -> None:
    here = scene({"h1": (4, "RTX 4090"), "h2": (4, "RTX 4090")}, LLAMA)
    services = vllm(tensor_parallel=1, context_length=32768)
    services["chat"] |= {"replicas": 8}
    assert codes(here.plan(services)) == ["fits-barely"]


@pytest.mark.parametrize(
    "changes",
    [
        {"args": ["--max-model-len", "auto"]}, {"args": ["--gpu-memory-utilization=much"]},
        {"args": ["--cpu-offload-gb"]}, {"args": ["--num-gpu-blocks-override", "9"]},
        {"backend": "openllm", "options": {}}, {"container": {"command": ["serve"]}},
    ],
)  # fmt: skip
def test_where_the_spec_says_what_cannot_be_weighed_nothing_is_refused(changes: dict[str, Any]) -> None:
    services = vllm(tensor_parallel=1)
    services["chat"] |= changes
    found = scene({"h1": (1, "T4")}, LARGE).plan(services)
    assert "no-placement" not in codes(found)


@pytest.mark.parametrize(("backends", "fits"), [("{}", False), ("{vllm: {args: [--max-model-len, '512']}}", True)])
def test_what_the_spec_says_of_a_backend_counts_where_it_was_chosen(backends: str, fits: bool) -> None:
    project = load(["deploy.yaml"], lambda name: SPEC.replace("BACKENDS", backends).encode())
    here = scene({"h1": (1, "RTX 4090")}, LLAMA)
    found = plan(project, here.observed(project), Resolved())
    assert ("no-placement" not in codes(found)) == fits


@pytest.mark.parametrize(
    ("backend", "kind", "stored", "said"),
    [
        ("vllm", "awq", None, "`m` is not quantized, and `vllm` serves awq of checkpoints that are"),
        ("vllm", "fp8", None, None),  # made while it loads
        ("lmdeploy", "fp8", None, "`m` is not quantized, and `lmdeploy` serves fp8 of checkpoints that are"),
        ("vllm", "awq_marlin", "awq", None),
        ("vllm", "gptq", "awq", "`m` is quantized by awq, and `quantization` is gptq"),
        ("vllm", None, "awq", None),
    ],
)
def test_a_quantization_that_the_checkpoint_does_not_have(
    backend: str, kind: str | None, stored: str | None, said: str | None
) -> None:
    model = replace(LLAMA, quantized=Quantized(stored, 4, 128)) if stored else LLAMA
    options = {"context_length": 8192, "tensor_parallel": 1} | ({"quantization": kind} if kind else {})
    found = scene({"h1": (1, "H100")}, model).plan({"chat": {"backend": backend, "options": options}})
    assert [problem.message for problem in found.problems] == ([said] if said else [])


def test_a_type_of_cache_that_its_server_does_not_take() -> None:
    found = scene({"h1": (1, "H100")}, LLAMA).plan(vllm(tensor_parallel=1, context_length=8192, kv_cache_dtype="q8_0"))
    why = "h1  `vllm` does not take `kv_cache_dtype` q8_0; it fits with `kv_cache_dtype` left out"
    assert refusals_of(found) == [why]
    assert hint_of(found) == "leave `options.kv_cache_dtype` out (h1 takes it then)"


def test_a_model_whose_weights_are_in_doubt_is_not_refused_but_warned_of() -> None:
    seeing = replace(LARGE, towers=(Tower(9, 64, 256),))
    found = scene({"h1": (1, "RTX 4090")}, seeing).plan(vllm(tensor_parallel=1, context_length=2048))
    assert not found.has_errors
    assert codes(found) == ["does-not-fit"]


def test_llama_cpp_leaves_layers_on_the_processor() -> None:
    gguf = replace(LARGE, is_gguf=True)
    here = scene({"h1": (2, "RTX 4090")}, gguf, size=40 * GIB)
    services: dict[str, dict[str, Any]] = {"chat": {"model": "g", "options": {"context_length": 8192}}}
    assert here.where(services) == {"chat-0": "h1:0,1"}
    small = scene({"h1": (1, "T4")}, gguf, size=40 * GIB).plan(services)
    assert (small.has_errors, codes(small)) == (False, ["does-not-fit"])


def test_shared_memory_for_several_gpus() -> None:
    services = vllm(tensor_parallel=2)
    services["chat"] |= {"container": {"shm_size": "64m"}}
    (problem,) = scene({"h1": (2, "H100")}, None).plan(services).problems
    assert (problem.code, problem.message) == (
        "shm-too-small", "service `chat` has 64 MiB of shared memory for 2 GPUs",
    )  # fmt: skip
    services["chat"] |= {"container": {"shm_size": "16g"}}
    assert codes(scene({"h1": (2, "H100")}, None).plan(services)) == []


@pytest.mark.parametrize(
    ("backend", "image", "instead"),
    [
        ("llama.cpp", "ghcr.io/ggml-org/llama.cpp:server", "ghcr.io/ggml-org/llama.cpp:server-cuda"),
        ("llama.cpp", "ghcr.io/ggml-org/llama.cpp:server-b4719", "ghcr.io/ggml-org/llama.cpp:server-cuda-b4719"),
        ("llama.cpp", "ghcr.io/ggml-org/llama.cpp:server-cuda-b4719", None),
        ("llama.cpp", "registry.example.org/llama.cpp:server", None),
        ("xinference", "xprobe/xinference:v3.2.1-cpu", "xprobe/xinference:v3.2.1"),
        ("xinference", "xprobe/xinference:v3.2.1", None),
        ("localai", "localai/localai:v4.9.0", "localai/localai:v4.9.0-gpu-nvidia-cuda-12"),
        ("localai", "localai/localai:v4.9.0-gpu-nvidia-cuda-13", None),
        ("vllm", "vllm/vllm-openai-cpu:v0.11.0", "vllm/vllm-openai:v0.11.0"),
        ("vllm", "vllm/vllm-openai:v0.11.0", None),
        ("ollama", "ollama/ollama:0.32.15", None),
    ],
)
def test_an_image_for_processors_leaves_gpus_unused(backend: str, image: str, instead: str | None) -> None:
    model = "g" if backend == "llama.cpp" else "m"
    services = {"chat": {"model": model, "backend": backend, "image": image, "placement": {"gpus": 1}}}
    found = [p for p in scene({"h1": (1, "H100")}, None).plan(services).problems if p.code == "gpus-unused"]
    hint = f"take `{instead}`, or set `placement.gpus` to none"
    assert [problem.hint for problem in found] == ([hint] if instead else [])


def test_an_image_that_the_driver_is_too_old_for() -> None:
    services = {"chat": {"backend": "lmdeploy", "version": "v0.16.0"}}
    old, new = (scene({"h1": (1, "H100")}, None, cuda=cuda).plan(services) for cuda in ("12.4", "12.8"))
    (problem,) = old.problems
    assert problem.message == (
        "image `openmmlab/lmdeploy:v0.16.0-cu12.8` is built for CUDA 12.8, and the driver of host `h1` speaks 12.4"
    )
    assert problem.hint == "update the driver to branch 570, or take an image for CUDA 12.4 or older"
    assert codes(new) == []


@pytest.mark.parametrize(
    ("version", "gpu", "driver", "docker", "said"),
    [
        ("1.8.4", "H100", "550.90.07", "27.0.3", []),
        ("1.8.4", "RTX 4090", "550.90.07", "27.0.3", ["driver-too-old"]),
        ("1.8.4", "RTX 4090", "560.35.03", "27.0.3", []),
        ("1.8.4", "H100", "545.23.06", "27.0.3", ["driver-too-old"]),
        ("1.8.4", "H100", "535.54.03", "20.10.24", ["driver-too-old", "docker-too-old"]),
        ("2.0.1", "H100", "575.57.08", "27.0.3", ["driver-too-old"]),
        ("2.0.1", "H100", "580.65.06", "23.0.6", ["docker-too-old"]),
        ("1.1.0", "H100", "535.54.03", "20.10.24", []),
        ("1.8.4", "H100", None, "", []),
    ],
)
def test_what_a_release_of_nim_wants_of_its_host(
    version: str, gpu: str, driver: str | None, docker: str, said: list[str]
) -> None:
    here = scene({"h1": (1, gpu)}, None, driver=driver)
    seen = here.seen
    here.seen = lambda facts: replace(seen(facts), docker=DockerFacts(docker, "1.47"))
    service = {
        "backend": "nim",
        "image": f"nvcr.io/nim/meta/llama-3.1-8b-instruct:{version}",
        "env": {"NGC_API_KEY": "x"},
    }
    assert [code for code in codes(here.plan({"chat": service})) if code.endswith("-too-old")] == said


@pytest.mark.parametrize(
    ("backend", "version", "driver", "said"),
    [
        ("sglang", "v0.5.23", "570.124.06", ["driver-too-old"]),
        ("sglang", "v0.5.23", "580.65.06", []),
        ("sglang", "v0.5.19-cu129", "575.57.08", []),
        ("sglang", "v0.5.19", "550.90.07", []),
        ("xinference", "v3.2.1", "575.57.08", ["driver-too-old"]),
        ("xinference", "v1.5.0", "550.90.07", []),
    ],
)
def test_what_the_cuda_of_a_release_takes(backend: str, version: str, driver: str, said: list[str]) -> None:
    here = scene({"h1": (1, "H100")}, None, driver=driver)
    found = here.plan({"chat": {"backend": backend, "version": version}})
    assert [code for code in codes(found) if code == "driver-too-old"] == said


def test_a_model_that_brings_code() -> None:
    odd = replace(LLAMA, needs_code=True)
    assert codes(scene({"h1": (1, "H100")}, odd).plan(vllm(context_length=8192))) == ["model-brings-code"]
    trusting = vllm(context_length=8192, trust_remote_code=True)
    assert "model-brings-code" not in codes(scene({"h1": (1, "H100")}, odd).plan(trusting))


def test_gpus_without_nvlink() -> None:
    uuids = [f"GPU-h1-{index}" for index in range(4)]
    linked = {one: {other: "NV18" for other in uuids if other != one} for one in uuids}
    apart = {one: {other: "SYS" for other in uuids if other != one} for one in uuids}
    services = vllm(tensor_parallel=4, context_length=8192)
    assert codes(scene({"h1": (4, "H100")}, LLAMA, topology=apart).plan(services)) == ["no-nvlink"]
    assert codes(scene({"h1": (4, "H100")}, LLAMA, topology=linked).plan(services)) == []
    assert codes(scene({"h1": (4, "H100")}, LLAMA).plan(services)) == []


def used(name: str, mib: int, **gpu: Any) -> Callable[[HostFacts], HostFacts]:
    """Somebody uses that much of each GPU."""

    def seen(facts: HostFacts) -> HostFacts:
        found = hosts_with({"h1": name}, LLAMA, **gpu)(facts)
        cards = tuple(replace(card, memory_used=mib << 20) for card in found.gpus)
        return replace(found, gpu=replace(found.gpu, gpus=cards))

    return seen


def test_a_gpu_must_be_as_free_as_its_server_wants_it() -> None:
    here = scene({"h1": (1, "RTX 4090")}, LLAMA)
    here.seen = used("RTX 4090", 400)
    assert here.where(vllm(tensor_parallel=1, context_length=8192)) == {"chat-0": "h1:0"}
    here.seen = used("RTX 4090", 3000)
    (line,) = refusals_of(here.plan(vllm(tensor_parallel=1, context_length=8192)))
    assert line == (
        "h1  NVIDIA GeForce RTX 4090 has 21.0 GiB free, and `vllm` takes 21.7 GiB when it starts; "
        "it fits with `gpu_memory_fraction` 0.88"
    )
    less = vllm(tensor_parallel=1, context_length=8192, gpu_memory_fraction=0.88)
    assert here.where(less) == {"chat-0": "h1:0"}


def test_what_its_own_predecessor_uses_counts_as_free() -> None:
    here = scene({"h1": (1, "RTX 4090")}, LLAMA)
    here.apply(vllm(tensor_parallel=1, context_length=8192))
    here.seen = used("RTX 4090", 21000)
    assert here.where(vllm(tensor_parallel=1, context_length=4096)) == {"chat-0": "h1:0"}


def test_the_card_of_several_gpus() -> None:
    one = Gpu(0, "GPU-0", "NVIDIA L4", 23034 << 20)
    two = Gpu(1, "GPU-1", "NVIDIA H100 80GB HBM3", 81559 << 20, memory_reserved=551 << 20, compute_capability="9.0")
    facts = Scene({"h1": 0}).world.facts("h1", [MODEL])
    small, large = card_of([one, two], facts), card_of([two], facts)
    assert small is not None
    assert large is not None
    assert (small.name, small.memory, small.capability) == ("NVIDIA L4", (23034 << 20) * 985 // 1000, (8, 9))
    assert large.memory == (81559 - 551) << 20
    assert card_of([Gpu(0, "GPU-0", "NVIDIA GB10")], facts) is None
