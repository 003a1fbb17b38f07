"""How much of a host's own memory replicas take, as far as that follows from the spec and the model. Sizes in bytes.

A lower bound: what servers of many processes need beside their weights is not known. /dev/shm counts with nothing, its
size is only a limit. Sources: vLLM docs, "Engine Arguments" (`--cpu-offload-gb` and `--swap-space` are per GPU,
`--kv-offloading-size` is for all of them) and "CPU" (`VLLM_CPU_KVCACHE_SPACE`); SGLang docs, "Server Arguments"
(`--hicache-size` is per GPU); gpustack/gguf-parser-go (what a process of llama.cpp takes beside its model).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from deployer.backends.base import Backend, Flag
from deployer.planning.args_read import as_said
from deployer.planning.choice import ServiceChoice
from deployer.planning.estimate import terms_of
from deployer.planning.estimate_request import GIB, Card, SizedModel
from deployer.planning.sizing import serving_of, sized_model
from deployer.spec.language import Service
from deployer.values.facts import HostFacts

PROCESS = 150 << 20
PROCESSORS = Card("processors", 0)
EACH_GPU = {"--swap-space": GIB, "--cpu-offload-gb": GIB, "--hicache-size": 10**9}
ALL_GPUS = {"--kv-offloading-size": GIB}
CACHE_SPACE = "VLLM_CPU_KVCACHE_SPACE"  # GiB
ROUND = 1024
MOST = 1 << 20  # of such an argument


def host_memory_of(choice: ServiceChoice, service: Service, facts: HostFacts, gpus: int) -> int | None:
    """Of one replica on so many GPUs of the host; None where nothing tells. `service`: with what the spec says of its
    backend. What the spec allows its container is believed."""
    if service.container.memory is not None:
        return service.container.memory
    service = as_said(choice.backend, service)
    beside = _beside_gpus(choice.backend, service, gpus)
    model = sized_model(choice, facts) if not choice.others else None
    share = _share_of_host(choice, service, model, gpus)
    if model is None or share is None:
        return beside or None
    return beside + PROCESS + int(_on_processors(choice, service, model) * share)


def _share_of_host(choice: ServiceChoice, service: Service, model: SizedModel | None, gpus: int) -> Fraction | None:
    """Of the layers, those that the processors have; None where the server decides it."""
    layers, memory = service.options.cpu_offload, choice.backend.memory
    if memory is None or model is None or model.shape is None:
        return None
    if not gpus:
        return Fraction(1)
    if memory.works != "graph" or layers in (None, "none"):
        return Fraction(0)
    return None if isinstance(layers, str) else 1 - min(Fraction(1), Fraction(layers or 0) / model.shape.layers)


def _on_processors(choice: ServiceChoice, service: Service, model: SizedModel) -> int:
    """What a server without GPUs holds: the weights, and if the spec's words can be weighed, what requests need."""
    plain = service.model_copy(update={"options": service.options.model_copy(update={"cpu_offload": None})})
    serving = serving_of(choice, plain, 1, 0)
    memory, weights = choice.backend.memory, model.weights.parts.total if model.weights is not None else 0
    if serving is None or memory is None:
        return weights
    terms = terms_of(model, serving, PROCESSORS, serving.context_on(PROCESSORS, model.shape))
    works = terms.activation or 0 if memory.works != "batch" else 0
    said = service.env.get(CACHE_SPACE)
    cache = _number(said) * GIB // 1000 if isinstance(said, str) else 0
    return (terms.weights or weights) + (cache or terms.kv_cache or 0) + works


def shorter_context(choice: ServiceChoice, service: Service, facts: HostFacts, room: int) -> int | None:
    """The longest context, in thousands of tokens, with which a replica on processors takes no more than `room`."""
    model = sized_model(choice, facts)
    asked = service.options.context_length or (model.shape.context if model is not None and model.shape else None)

    def fits(tokens: int) -> bool:
        options = service.options.model_copy(update={"context_length": tokens})
        need = host_memory_of(choice, service.model_copy(update={"options": options}), facts, 0)
        return need is not None and need <= room

    low, high = 0, (asked or 0) // ROUND  # thousands that fit, that do not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle * ROUND) else (low, middle)
    return low * ROUND or None


def _beside_gpus(backend: Backend, service: Service, gpus: int) -> int:
    """What servers keep in the host's memory because they are told to."""
    found = _said(service.args, EACH_GPU) * gpus + _said(service.args, ALL_GPUS)
    offload, mapping = service.options.cpu_offload, backend.options["cpu_offload"]
    is_size = isinstance(mapping, Flag) and mapping.name in EACH_GPU
    return found + (int(offload * GIB) * gpus if is_size and isinstance(offload, int | float) else 0)


def _said(args: Sequence[str], units: dict[str, int]) -> int:
    """Bytes that arguments name, as `NAME VALUE` or `NAME=VALUE`."""
    total = 0
    for place, arg in enumerate(args):
        name, equals, value = arg.partition("=")
        if name in units:
            total += _number(value if equals else "".join(args[place + 1 : place + 2])) * units[name] // 1000
    return total


def _number(text: str) -> int:
    """Thousandths; 0 of what is no number."""
    whole, _, part = text.strip().partition(".")
    if not whole.isdecimal() or not whole.isascii() or len(whole) > 7 or not (part or "0").isdecimal():
        return 0
    return min(int(whole), MOST) * 1000 + int((part + "000")[:3])
