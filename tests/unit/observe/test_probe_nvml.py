"""NVML and nvidia-smi tell the same facts of the same machine. The library is a parameter, here one written out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

from deployer.engine.probe_gpus import Answers, gpu_facts, with_containers
from deployer.engine.probe_nvml import read_gpus
from deployer.formats.nvidia_smi import QUERIES

A, B = "GPU-02e18039-e0d3-dd1e-1e2a-fad8bff27cdf", "GPU-503f2ca5-f203-04ba-331e-aa84f8da3faa"
CONTAINER = "c" * 64
MIB = 1 << 20

SMI: Answers = {
    "driver": [((), "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.124.06  Wed Feb 26 02:11:02 UTC 2025\n")],
    "gpus": [
        (
            ("0", ",".join(QUERIES[0])),
            f"0, {A}, 570.124.06, 00000000:18:00.0, 81559, 4, 551, Disabled, 9.0, 0, [N/A], None, "
            "NVIDIA H100 80GB HBM3\n"
            f"1, {B}, 570.124.06, 00000000:2A:00.0, 81559, 72011, 551, Disabled, 9.0, 7, [N/A], Drain and Reset, "
            "NVIDIA H100 80GB HBM3\n",
        )
    ],
    "apps": [((), f"{B}, 31337, 71996, /usr/bin/python3\n{B}, 400, [N/A], ray::Worker\n")],
    "header": [((), "| NVIDIA-SMI 570.124.06   Driver Version: 570.124.06   CUDA Version: 12.8 |\n")],
    "nodes": [((), "0000:18:00.0 0\n0000:2a:00.0 1\n0000:99:00.0 -1\n")],
    "rows": [((), f"{A}, No, No\n{B}, 1, Yes\n")],
    "topology": [((), "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV18\t0-1\nGPU1\tNV18\t X \t0-1\n")],
}


NODES = {"0000:18:00.0": 0, "0000:2a:00.0": 1}


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

    def nvmlDeviceGetMaxMigDeviceCount(self, gpu: int) -> int:
        return 7

    def nvmlDeviceGetTotalEccErrors(self, gpu: int, kind: int, counter: int) -> int:
        assert (kind, counter) == (1, 0)
        return (0, 7)[gpu]

    def nvmlDeviceGetRetiredPagesPendingStatus(self, gpu: int) -> int:
        raise NVMLError("not supported")

    def nvmlDeviceGetRemappedRows(self, gpu: int) -> tuple[int, int, int, int]:
        return ((0, 0, 0, 0), (1, 9, 1, 1))[gpu]

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
    by_nvml = read_gpus(Library(), containers, NODES)
    assert by_smi.source == "nvidia-smi"
    assert replace(by_smi, source="nvml") == by_nvml
    assert by_nvml.gpus[1].problem == "the driver asks for: Drain and Reset"
    assert by_nvml.processes[1].container == CONTAINER
    assert [(gpu.numa, gpu.pages_pending, gpu.rows_failed) for gpu in by_smi.gpus] == [
        (0, False, False),
        (1, True, True),
    ]


@pytest.mark.parametrize(("links", "link"), [("switch", "NV18"), ("pair", "NV4"), ("none", "NODE")])
def test_links(links: str, link: str) -> None:
    assert read_gpus(Library(links), containers, NODES).topology == {A: {B: link}, B: {A: link}}


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        ("nvmlDeviceGetMemoryInfo", "memory_total"),
        ("nvmlDeviceGetMigMode", "mig_mode"),
        ("nvmlDeviceGetCudaComputeCapability", "compute_capability"),
        ("nvmlDeviceGetPciInfo", "bus_id"),
        ("nvmlDeviceGetTotalEccErrors", "ecc_errors"),
        ("nvmlDeviceGetFieldValues", "problem"),
        ("nvmlDeviceGetRemappedRows", "rows_failed"),
        ("nvmlDeviceGetRemappedRows", "pages_pending"),
    ],
)
def test_what_a_card_does_not_know_is_unknown(broken: str, field: str) -> None:
    assert getattr(read_gpus(Library("none", broken), containers, NODES).gpus[1], field) is None


@pytest.mark.parametrize(
    "broken", ["nvmlInit", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID", "nvmlSystemGetDriverVersion"]
)
def test_without_the_essentials_nvidia_smi_is_asked(broken: str) -> None:
    with pytest.raises(NVMLError):
        read_gpus(Library(broken=broken), containers, NODES)


SLICES = ("MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", "MIG-1e4c2d3f-2c8f-5a3a-8b33-1f6d6d1a6b0f")


class Sliced(Library):
    """The first GPU is cut: into number 0 and number 2."""

    def nvmlDeviceGetMigMode(self, gpu: int) -> list[int]:
        return [1 - gpu, 1 - gpu]

    def nvmlDeviceGetMigDeviceHandleByIndex(self, gpu: int, number: int) -> int:
        if number not in (0, 2):
            raise NVMLError("not found")
        return 100 + number // 2

    def nvmlDeviceGetUUID(self, gpu: int) -> str:
        return SLICES[gpu - 100] if gpu >= 100 else super().nvmlDeviceGetUUID(gpu)

    def nvmlDeviceGetName(self, gpu: int) -> bytes:
        return super().nvmlDeviceGetName(gpu) + (b" MIG 1g.10gb" if gpu >= 100 else b"")

    def nvmlDeviceGetMemoryInfo(self, gpu: int, version: int | None = None) -> Any:
        return SimpleNamespace(total=9728 * MIB, used=12 * MIB) if gpu >= 100 else super().nvmlDeviceGetMemoryInfo(gpu)


def test_slices_are_told_by_both_alike() -> None:
    listing = (
        f"GPU 0: NVIDIA H100 80GB HBM3 (UUID: {A})\n  MIG 1g.10gb     Device  0: (UUID: {SLICES[0]})\n"
        f"  MIG 1g.10gb     Device  2: (UUID: {SLICES[1]})\nGPU 1: NVIDIA H100 80GB HBM3 (UUID: {B})\n"
    )
    memory = "<fb_memory_usage><total>9728 MiB</total><used>12 MiB</used></fb_memory_usage>"
    devices = "".join(f"<mig_device><index>{n}</index>{memory}</mig_device>" for n in (0, 2))
    xml = f'<gpu id="00000000:18:00.0"><mig_devices>{devices}</mig_devices><uuid>{A}</uuid></gpu>'
    words, rows = SMI["gpus"][0]
    cut = {
        **SMI,
        "gpus": [(words, rows.replace("Disabled", "Enabled", 1))],
        "slices": [((), listing)],
        "xml": [((), xml)],
    }
    by_smi, by_nvml = gpu_facts(cut), read_gpus(Sliced(), containers, NODES)
    assert by_smi.gpus == by_nvml.gpus
    assert [gpu.label for gpu in by_nvml.gpus] == ["0", "0:0", "0:2", "1"]
