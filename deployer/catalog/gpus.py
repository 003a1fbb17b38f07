"""What is known of GPU models without asking a host: `gpus.csv`, one line a model as the driver names it.

Memory is what nvidia-smi prints; `memory_source` says whether it was `seen` in logs, `derived` from a sister card or is
the `general` figure. Names and device ids: NVIDIA's list of supported chips in the driver's README; capabilities: the
CUDA programming guide; bandwidths and links: data sheets; NIM tags: NVIDIA NIM for LLMs, support matrix.
"""

from __future__ import annotations

import csv
import pkgutil
import re
from functools import cache, lru_cache

from deployer.dataclass import dataclass

MIB = 1 << 20
WORD = re.compile(r"[a-z0-9]+")
MAKERS = frozenset({"nvidia", "tesla", "geforce", "quadro"})  # that people leave out
Capability = tuple[int, int]


@dataclass(frozen=True, slots=True)
class GpuModel:
    """`memory` in bytes; None where every host has another. `links`: NVLink, in words; None: there is none."""

    name: str
    vendor: str
    architecture: str
    capability: Capability | None  # None: another vendor's
    memory: int | None
    links: str | None
    kind: str  # datacenter | workstation | geforce | superchip | jetson | other
    min_driver: int | None  # branch
    nim_tag: str | None  # with a `?` where nobody confirmed it
    devices: tuple[str, ...] = ()  # PCI device ids, in small letters

    @property
    def words(self) -> frozenset[str]:
        return frozenset(WORD.findall(self.name.lower())) - MAKERS


@cache
def known_gpus() -> tuple[GpuModel, ...]:
    text = (pkgutil.get_data("deployer.catalog", "gpus.csv") or b"").decode("utf-8")
    return tuple(_model(row) for row in csv.DictReader(text.splitlines()))


def _model(row: dict[str, str]) -> GpuModel:
    links = row["nvlink_total_gbs"]
    memory, branch = row["memory_mib_nvidia_smi"], row["min_driver_branch"]
    return GpuModel(
        name=row["name"],
        vendor=row["vendor"],
        architecture=row["architecture"],
        capability=parse_capability(row["compute_capability"]),
        memory=int(memory) * MIB if memory else None,
        links=None if links in ("", "no") else links,
        kind=row["class"],
        min_driver=int(branch) if branch else None,
        nim_tag=row["nim_gpu_tag"] or None,
        devices=tuple(row["pci_device_ids"].lower().replace(";", " ").split()),
    )


def parse_capability(text: str | None) -> Capability | None:
    """(8, 9) of `8.9`; None of anything else."""
    major, dot, minor = (text or "").partition(".")
    return (int(major), int(minor)) if dot and major.isdigit() and minor.isdigit() else None


@lru_cache(maxsize=256)
def find_gpu(wanted: str) -> GpuModel | None:
    """The model that people mean by `H100`, `rtx 4090` or a name in full. Of several, the one that NIM calls by that
    name, else the one with the fewest other words, else the one with the least memory."""
    words = frozenset(WORD.findall(wanted.lower())) - MAKERS
    for gpu in known_gpus():
        if wanted.lower() == gpu.name.lower():
            return gpu
    tagged = next((gpu for gpu in known_gpus() if gpu.nim_tag == "_".join(WORD.findall(wanted.lower()))), None)
    if tagged is not None:
        return tagged
    fitting = [gpu for gpu in known_gpus() if words and words <= gpu.words]
    return min(fitting, key=lambda gpu: (gpu.memory is None, len(gpu.words), gpu.memory or 0), default=None)


def near_gpus(wanted: str, most: int = 5) -> tuple[str, ...]:
    """Names of models that share a word with what was asked for, or begin as it does."""
    words = frozenset(WORD.findall(wanted.lower())) - MAKERS
    near = [
        gpu.name
        for gpu in known_gpus()
        if words & gpu.words or any(mine.startswith(word[:2]) for word in words for mine in gpu.words if len(word) > 2)
    ]
    return tuple(near[:most])
