"""A service of a spec as the estimator is asked: its model as a host has it, its options, the host's GPUs. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache

from deployer.backends.base import Flag
from deployer.catalog.gpus import find_gpu, parse_capability
from deployer.dataclass import replace
from deployer.formats.gguf_parts import split_parts
from deployer.planning.args_read import as_said, said_in
from deployer.planning.choice import ServiceChoice
from deployer.planning.estimate_request import GIB, Card, Serving, SizedModel
from deployer.planning.gpu_groups import is_linked
from deployer.planning.gpu_memory import usable_memory
from deployer.planning.weights import first_part
from deployer.planning.weights_counted import stored_as_shaped
from deployer.spec.language import Options, Service
from deployer.values.facts import HostFacts, PathFact
from deployer.values.gpu_facts import Gpu
from deployer.values.model_shape import ModelShape
from deployer.values.model_weights import ModelWeights, WeightParts
from deployer.values.weights import Manifest

# Arguments that change what memory is needed, or how it is shared: with one of them nothing is said.
TELLING = (
    "--max-model-len", "--gpu-memory-utilization", "--kv-cache", "--quantization", "--dtype", "--cpu-offload",
    "--max-num", "--enforce-eager", "--tensor-parallel", "-tp", "--pipeline-parallel", "-pp", "--load-format",
    "--hf-overrides", "--num-gpu-blocks", "--enable-lora", "--max-lora", "--speculative", "--limit-mm", "--mm-", "--tp",
    "--pp", "--language-model-only", "--skip-mm", "--compilation-config", "-c", "--ctx-size", "-ngl", "--n-gpu-layers",
    "--gpu-layers", "-ot", "--override", "--cpu-moe", "--n-cpu-moe", "-ctk", "-ctv", "--cache-type", "--mem-fraction",
    "--context-length", "-nkvo", "--no-kv-offload", "--chunked-prefill", "--max-total", "--max-running", "--swa", "-fa",
    "--cuda-graph", "--disable-cuda-graph", "--max_", "--kv_cache", "--extra_llm_api_options", "--config", "--quantize",
    "--cuda-memory", "--session-len", "--cache-max", "--model-format", "--quant-policy", "--max-batch", "--num-shard",
    "--block-size", "--fit", "-ub", "--ubatch", "-b", "--batch-size", "--data-parallel", "-dp", "--dp",
)  # fmt: skip
HOLDING = ("running", "restarting", "paused")
STEP, MOST = 1 << 28, 1 << 62  # bytes
MOST_OFFLOADED = 1 << 20  # GiB
# Kinds whose weights do not follow from the usual keys of a config.json.
DOUBTFUL = ("gemma3n", "gemma4", "llama4", "whisper", "t5", "mllama", "deepseek_v4", "unknown")


def serving_of(choice: ServiceChoice, service: Service, gpus: int, memory: int) -> Serving | None:
    """`service`: with the spec's settings of its backend; `memory`: of one GPU. None where it says things that the
    estimator cannot weigh. Layers are not left to the processor yet (`leaving_layers`)."""
    said = said_in(choice.backend.name, service.args)
    service = as_said(choice.backend, service)
    options = service.options
    offloaded = _offloaded(choice, options)
    if choice.others or choice.draft is not None or offloaded is None or said.unclear:
        return None
    if _starts_otherwise(choice, service) or any(arg.startswith(TELLING) for arg in service.args):
        return None
    stages = options.pipeline_parallel or 1
    rest = stages * (options.data_parallel or 1)
    slots = options.max_concurrency or 1
    graph = choice.backend.memory is not None and choice.backend.memory.works == "graph"
    return Serving(
        backend=choice.backend,
        version=service.version,
        context=options.context_length,
        sequences=slots if graph else 1,
        dtype=options.dtype,
        quantization=options.quantization,
        kv_dtype=options.kv_cache_dtype,
        tensor=options.tensor_parallel or max(1, gpus // rest),
        stages=stages,
        fraction=_fraction(options, memory),
        batch_tokens=None if graph else options.max_batch_tokens,
        max_sequences=None if graph else options.max_concurrency,
        loras=len(options.lora or {}),
        expert_parallel=bool(options.expert_parallel),
        offloaded=offloaded,
        flags=said.flags,
    )


def _offloaded(choice: ServiceChoice, options: Options) -> int | None:
    """Bytes of weights that each GPU leaves to the host; None where the server decides it. vLLM docs, "Engine
    Arguments": `--cpu-offload-gb` is per GPU; of the layers' weights alone (`maybe_offload_to_cpu`)."""
    asked, mapping, memory = options.cpu_offload, choice.backend.options["cpu_offload"], choice.backend.memory
    if asked in (None, "none") or (memory is not None and memory.works == "graph" and isinstance(asked, int | float)):
        return 0
    is_size = isinstance(mapping, Flag) and isinstance(asked, int | float)
    return int(min(asked, MOST_OFFLOADED) * GIB) if is_size and isinstance(asked, int | float) else None


def leaving_layers(serving: Serving, service: Service, shape: ModelShape) -> Serving:
    """With the layers on GPUs that a server like llama.cpp is told to put there."""
    memory, layers = serving.backend.memory, as_said(serving.backend, service).options.cpu_offload
    if memory is None or memory.works != "graph" or not isinstance(layers, int | float):
        return serving
    return replace(serving, share=Fraction(max(0, min(int(layers), shape.layers)), shape.layers))


def _starts_otherwise(choice: ServiceChoice, service: Service) -> bool:
    """By a command that people wrote themselves."""
    templated = choice.pin is not None and choice.pin.template is not None
    return templated or service.container.command is not None or service.container.entrypoint is not None


def _fraction(options: Options, memory: int) -> float | None:
    if options.gpu_memory_fraction is not None or options.gpu_memory is None or not memory:
        return options.gpu_memory_fraction
    return min(1.0, options.gpu_memory / memory)


def sized_model(choice: ServiceChoice, facts: HostFacts) -> SizedModel | None:
    """The service's model by what this host says of it; None where that is too little."""
    found = choice.path_on(facts)
    if found is None or found.shape is None:
        return None
    name = choice.service.each()[0].model or choice.name
    if not found.shape.is_gguf:
        return SizedModel(name, found.shape, stored(found.shape))
    size = _fetched_size(choice) if choice.model.is_fetched else _size_on(found, facts)
    return None if size is None else SizedModel(name, found.shape, ModelWeights(WeightParts(linear=size), "files"))


def _size_on(found: PathFact, facts: HostFacts) -> int | None:
    """Of a GGUF file with all its parts; None where one is not there."""
    sizes = [facts.paths[part].size for part in split_parts(found.path) if part in facts.paths]
    known = [size for size in sizes if size is not None] if found.kind == "file" else []
    return sum(known) if known and len(known) == len(split_parts(found.path)) else None


def _fetched_size(choice: ServiceChoice) -> int | None:
    """Of the GGUF that its manifest chose."""
    manifest = choice.manifests.get(choice.model)
    if not isinstance(manifest, Manifest):
        return None
    parts = first_part(manifest)
    return sum(file.size for file in manifest.files if file.path in parts) or None


stored = lru_cache(maxsize=1024)(stored_as_shaped)


def is_sure(shape: ModelShape) -> bool:
    """How many weights it has follows from its shape without doubt."""
    return not shape.towers and not shape.mixers and not shape.kind.startswith(DOUBTFUL)


def card_of(gpus: Iterable[Gpu], facts: HostFacts, kept: int = 0) -> Card | None:
    """The GPU with the least memory of those; None where the driver says of none how much it has. `kept`: bytes of each
    that the spec leaves to others."""
    known = [gpu for gpu in gpus if gpu.memory_total is not None]
    if not known:
        return None
    gpu = min(known, key=lambda gpu: (gpu.memory_total or 0, _free(gpu, facts) or MOST, gpu.uuid))
    usable, free = usable_memory(gpu) or 0, _free(gpu, facts)
    room = max(0, usable - kept)
    capability = parse_capability(gpu.compute_capability)
    model = find_gpu(gpu.name) if capability is None else None
    return Card(
        gpu.name,
        usable,
        capability or (model.capability if model is not None else None),
        "NVLink" if is_linked([one.uuid for one in known], facts.gpu.topology) else None,
        (room if kept else None) if free is None else min(free, room),
        kept,
    )


def _free(gpu: Gpu, facts: HostFacts) -> int | None:
    """What is left of a GPU that no container and no process holds, in steps: a display may be on it. None where
    somebody does: what that takes will be given back, or the GPU is not taken at all."""
    names = {gpu.uuid, gpu.parent, gpu.label, "all"}
    held = any(names.intersection(container.gpus) for container in facts.containers if container.status in HOLDING)
    held = held or any(process.gpu == gpu.uuid for process in facts.gpu.processes)
    if held or gpu.memory_used is None or gpu.memory_total is None:
        return None
    left = gpu.memory_total - gpu.memory_used - (gpu.memory_reserved or 0)
    return max(0, left // STEP * STEP)
