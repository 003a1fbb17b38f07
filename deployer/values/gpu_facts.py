"""What was observed of a host's GPUs. Sizes in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Literal

from deployer.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as nvidia-smi or NVML shows it; None where the driver does not say. A MIG slice is one of its own, with
    the index of the whole one."""

    index: int
    uuid: str
    name: str
    memory_total: int | None = None
    memory_used: int | None = None
    memory_reserved: int | None = None
    compute_capability: str | None = None  # "9.0"
    bus_id: str | None = None  # "00000000:18:00.0"
    mig_mode: bool | None = None
    problem: str | None = None  # why it cannot be used, in the driver's words
    ecc_errors: int | None = None  # that could not be corrected, since the driver was loaded
    pages_pending: bool | None = None  # memory pages or rows wait to be replaced at its next reset
    rows_failed: bool | None = None  # a row of its memory could not be replaced
    numa: int | None = None  # the node of its slot
    parent: str | None = None  # of a slice, the UUID of the whole GPU
    slice: int | None = None  # its number there

    @property
    def label(self) -> str:
        """As people name it on its host, and as Docker's `--gpus device=` does."""
        return str(self.index) if self.slice is None else f"{self.index}:{self.slice}"


def in_order(gpus: Iterable[Gpu]) -> tuple[Gpu, ...]:
    """Slices behind the GPU that they are of."""
    return tuple(sorted(gpus, key=lambda g: (g.index, -1 if g.slice is None else g.slice, g.uuid)))


@dataclass(frozen=True, slots=True)
class GpuProcess:
    gpu: str  # UUID
    pid: int
    name: str
    memory_used: int | None = None
    container: str | None = None  # id, where the pid's cgroup tells


@dataclass(frozen=True, slots=True)
class Xid:
    """A kind of error that the driver reported of one GPU since the host booted."""

    bus_id: str  # as in the kernel's log, "0000:17:00"
    code: int
    count: int


@dataclass(frozen=True, slots=True)
class GpuFacts:
    driver: str | None = None  # "550.90.07"
    cuda: str | None = None  # the highest CUDA the driver speaks, "12.4"
    gpus: tuple[Gpu, ...] = ()
    processes: tuple[GpuProcess, ...] = ()
    topology: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # UUID -> UUID -> NV18, PIX, SYS, ...
    problem: str | None = None  # e.g. a driver/library mismatch; () of gpus then says nothing
    source: Literal["nvml", "nvidia-smi", "none"] = "none"
    xids: tuple[Xid, ...] = ()  # where the user may read the kernel's log
    others: tuple[str, ...] = ()  # vendors of hardware that is not supported, "AMD"
