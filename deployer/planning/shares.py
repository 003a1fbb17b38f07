"""How much of a GPU a replica takes that shares it with others, and what of that its cache may have. Sizes in bytes.

A server takes what its memory fraction bounds, or what it needs. Where a fraction is of what others leave, it takes no
more than it would alone. vLLM 0.33 (vllm/v1/worker/gpu_worker.py `determine_available_memory`) sizes its cache by how
much memory is in use while it starts, its neighbours' too, unless it is told the size: then all may start at once.
"""

from __future__ import annotations

from deployer.planning.choice import ServiceChoice
from deployer.planning.estimate_request import Card, Serving
from deployer.spec.language import Service
from deployer.values.estimate import Estimate

MIB = 1 << 20
SAYS_HOW_MUCH = (
    "--gpu-memory-utilization",
    "--kv-cache-memory",
    "--mem-fraction",
    "--cache-max-entry",
    "--cuda-memory",
)
HINT = "set `options.gpu_memory`"


def share_of(choice: ServiceChoice, service: Service, card: Card, found: Estimate | None) -> int | str:
    """Of one GPU like `card`, or why that is not known. `service`: with what the spec says of its backend."""
    options, memory = service.options, choice.backend.memory
    if options.gpu_memory is not None and options.gpu_memory_fraction is None:
        return options.gpu_memory
    if any(arg.startswith(SAYS_HOW_MUCH) for arg in service.args):
        return f"shares GPUs, and its `args` say how much it takes; {HINT} instead"
    if memory is not None and memory.bound == "total":
        fraction = Serving(choice.backend, service.version, fraction=options.gpu_memory_fraction).fraction_of(memory)
        return int((fraction or 1.0) * card.memory)
    if memory is not None and found is not None:
        most = found.terms.band[1] if found.terms.band is not None else None
        size = most if memory.bound == "needed" else found.budget
        if size is not None and most is not None:
            return size
    return f"shares GPUs, and how much it takes is not known; {HINT}"


def cache_of(share: int, found: Estimate | None) -> int | None:
    """Bytes for the cache alone, in whole MiB: what is left of the share when all else takes as much as it might, and
    no less than the context needs. None where what the server needs is not known."""
    if found is None or found.terms.band is None or not found.terms.kv_cache:
        return None
    rest = found.terms.band[1] - found.terms.kv_cache
    return max((share - rest) // MIB, -(-found.terms.kv_cache // MIB)) * MIB
