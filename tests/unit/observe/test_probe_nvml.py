"""NVML and nvidia-smi tell the same facts of the same machine. The library is a parameter, here one written out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

from deployer.engine.probe_gpus import gpu_facts, with_containers
from deployer.engine.probe_nvml import read_gpus
from deployer.formats.nvidia_smi import QUERIES

A, B = "GPU-02e18039-e0d3-dd1e-1e2a-fad8bff27cdf", "GPU-503f2ca5-f203-04ba-331e-aa84f8da3faa"
CONTAINER = "c" * 64
MIB = 1 << 20

SMI = {
    "driver": [((), "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.124.06  Wed Feb 26 02:11:02 UTC 2025\n")],
    "gpus": [
        (
            ("0", ",".join(QUERIES[0])),
            f"0, {A}, 570.124.06, 00000000:18:00.0, 81559, 4, 551, Disabled, 9.0, None, NVIDIA H100 80GB HBM3\n"
            f"1, {B}, 570.124.06, 00000000:2A:00.0, 81559, 72011, 551, Disabled, 9.0, Drain and Reset, "
            "NVIDIA H100 80GB HBM3\n",
        )
    ],
    "apps": [((), f"{B}, 31337, 71996, /usr/bin/python3\n{B}, 400, [N/A], ray::Worker\n")],
    "header": [((), "| NVIDIA-SMI 570.124.06   Driver Version: 570.124.06   CUDA Version: 12.8 |\n")],
    "topology": [((), "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV18\t0-1\nGPU1\tNV18\t X \t0-1\n")],
}


class NVMLError(Exception):
    pass


@dataclass
class Library:
    """As much of pynvml as is asked; `links`: what an NVLink of a GPU leads to."""

    links: str = "switch"
    broken: str = ""
    NVMLError: type[Exception] = NVMLError
    nvmlMemory_v2: int = 0x02000028
    NVML_FI_DEV_GET_GPU_RECOVERY_ACTION: int = 230

    def __getattribute__(self, name: str) -> Any:
        if name != "broken" and name == self.broken:
            raise NVMLError(name)
        return object.__getattribute__(self, name)

    def nvmlInit(self) -> None: ...
    def nvmlShutdown(self) -> None: ...
    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlSystemGetDriverVersion(self) -> bytes:
        return b"570.124.06"

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:
        return 12080

    def nvmlDeviceGetUUID(self, gpu: int) -> str:
        return (A, B)[gpu]

    def nvmlDeviceGetName(self, gpu: int) -> bytes:
        return b"NVIDIA H100 80GB HBM3"

    def nvmlDeviceGetMemoryInfo(self, gpu: int, version: int | None = None) -> Any:
        used = (4, 72011)[gpu] * MIB + 4096
        return SimpleNamespace(total=81559 * MIB + 524288, used=used, reserved=551 * MIB + 1)

    def nvmlDeviceGetCudaComputeCapability(self, gpu: int) -> tuple[int, int]:
        return (9, 0)

    def nvmlDeviceGetMigMode(self, gpu: int) -> list[int]:
        return [0, 0]

    def nvmlDeviceGetPciInfo(self, gpu: int) -> Any:
        return SimpleNamespace(busId=(b"00000000:18:00.0", b"00000000:2A:00.0")[gpu])

    def nvmlDeviceGetFieldValues(self, gpu: int, fields: list[int]) -> list[Any]:
        return [SimpleNamespace(nvmlReturn=0, value=SimpleNamespace(uiVal=(0, 4)[gpu]))]

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: int) -> list[Any]:
        if gpu == 0:
            return []
        return [
            SimpleNamespace(pid=31337, usedGpuMemory=71996 * MIB + 12),
            SimpleNamespace(pid=400, usedGpuMemory=None),
        ]

    def nvmlSystemGetProcessName(self, pid: int) -> str:
        return {31337: "/usr/bin/python3", 400: "ray::Worker"}[pid]

    def nvmlDeviceGetNvLinkState(self, gpu: int, link: int) -> int:
        if self.links == "none" or (self.links == "pair" and link >= 4):
            raise NVMLError("not supported")
        return 1

    def nvmlDeviceGetNvLinkRemoteDeviceType(self, gpu: int, link: int) -> int:
        return 2 if self.links == "switch" else 0

    def nvmlDeviceGetNvLinkRemotePciInfo(self, gpu: int, link: int) -> Any:
        return self.nvmlDeviceGetPciInfo(1 - gpu)

    def nvmlDeviceGetTopologyCommonAncestor(self, a: int, b: int) -> int:
        return 40


def containers(pid: int) -> tuple[str, ...]:
    return (CONTAINER,) if pid == 31337 else ()


def test_both_say_the_same() -> None:
    by_smi = with_containers(gpu_facts(SMI), {31337: (CONTAINER,)}, frozenset({CONTAINER}))
    by_nvml = read_gpus(Library(), containers)
    assert by_smi.source == "nvidia-smi"
    assert replace(by_smi, source="nvml") == by_nvml
    assert by_nvml.gpus[1].problem == "the driver asks for: Drain and Reset"
    assert by_nvml.processes[1].container == CONTAINER


@pytest.mark.parametrize(("links", "link"), [("switch", "NV18"), ("pair", "NV4"), ("none", "NODE")])
def test_links(links: str, link: str) -> None:
    assert read_gpus(Library(links), containers).topology == {A: {B: link}, B: {A: link}}


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        ("nvmlDeviceGetMemoryInfo", "memory_total"),
        ("nvmlDeviceGetMigMode", "mig_mode"),
        ("nvmlDeviceGetCudaComputeCapability", "compute_capability"),
        ("nvmlDeviceGetPciInfo", "bus_id"),
        ("nvmlDeviceGetFieldValues", "problem"),
    ],
)
def test_what_a_card_does_not_know_is_unknown(broken: str, field: str) -> None:
    assert getattr(read_gpus(Library("none", broken), containers).gpus[1], field) is None


@pytest.mark.parametrize(
    "broken", ["nvmlInit", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID", "nvmlSystemGetDriverVersion"]
)
def test_without_the_essentials_nvidia_smi_is_asked(broken: str) -> None:
    with pytest.raises(NVMLError):
        read_gpus(Library(broken=broken), containers)
