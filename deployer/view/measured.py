"""What the containers of replicas use of their GPUs, as their hosts measured it, beside what was estimated."""

from __future__ import annotations

from typing import Any

from deployer.dataclass import dataclass
from deployer.planning.claims import gpu_uuids
from deployer.planning.replicas import Found

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class GpuUse:
    """Of one GPU, in bytes; None where the host does not say it, or too little is known for an estimate."""

    gpu: str
    used: int | None = None
    estimated: int | None = None


def gpu_use(found: Found, estimated: int | None) -> tuple[GpuUse, ...]:
    """Of each GPU of a container that runs. `estimated`: what it needs of each."""
    facts, container = found.facts, found.container
    if container.status != "running":
        return ()
    used: dict[str, int] = {}
    for process in facts.gpu.processes:
        if process.container == container.id and process.memory_used is not None:
            used[process.gpu] = used.get(process.gpu, 0) + process.memory_used
    return tuple(GpuUse(uuid, used.get(uuid), estimated) for uuid in sorted(gpu_uuids(facts, container.gpus)))


def render_use(uses: tuple[GpuUse, ...]) -> str:
    """`61.2 GiB of GPU memory (18.9 estimated)`; of several GPUs what each uses."""
    sizes = " + ".join(f"{use.used / GIB:.1f}" for use in uses if use.used is not None)
    estimated = next((use.estimated for use in uses if use.estimated is not None), None)
    each = " for each" if len(uses) > 1 else ""
    said = f"{estimated / GIB:.1f} estimated{each}" if estimated is not None else ""
    if not sizes:
        return f"GPU memory: {said}" if said else ""
    return f"{sizes} GiB of GPU memory" + (f" ({said})" if said else "")


def use_json(use: GpuUse) -> dict[str, Any]:
    return {"gpu": use.gpu, "used": use.used, "estimated": use.estimated}
