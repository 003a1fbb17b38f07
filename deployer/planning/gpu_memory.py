"""What can be said of a GPU and its replicas before anything is estimated. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployer.backends.base import InTemplate
from deployer.planning.args_read import sizes_said
from deployer.values.gpu_facts import Gpu

if TYPE_CHECKING:
    from deployer.planning.choice import ServiceChoice

LARGE = 80 * 10**9  # bytes


def is_automatic(choice: ServiceChoice) -> bool:
    """Nobody says over how many GPUs it is spread, and its backend can spread it."""
    options, memory = choice.service.options, choice.backend.memory
    said = sizes_said(choice.backend.name, choice.service.args)
    sizes = (options.tensor_parallel, options.pipeline_parallel, options.data_parallel, *said.values())
    can = (
        memory is not None
        and memory.split != "none"
        and isinstance(choice.backend.options["tensor_parallel"], InTemplate)
    )
    placement = choice.service.placement
    return can and placement.gpus == "auto" and not placement.share and not any(sizes)


def usable_memory(gpu: Gpu) -> int | None:
    """Of which CUDA programs can have something (see `Card.of`); None where the driver does not say how much it has."""
    total = gpu.memory_total
    if total is None:
        return None
    usable = total * (995 if total >= LARGE else 985) // 1000
    return max(0, min(usable, total - gpu.memory_reserved) if gpu.memory_reserved else usable)
