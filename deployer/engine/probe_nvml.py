"""The GPUs of this machine by NVML, as nvidia-smi would tell them. The library is given (`pynvml`, or one like it).

Whatever NVML cannot say about the essentials is an error here: nvidia-smi then says it, and why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from deployer.dataclass import replace
from deployer.engine.probe_gpus import slot_of
from deployer.formats.nvidia_mig import slice_of
from deployer.formats.nvidia_smi import recovery_problem
from deployer.formats.text import one_line
from deployer.values.gpu_facts import Gpu, GpuFacts, GpuProcess, in_order

MIB = 1 << 20
ANCESTORS = {0: "PIX", 10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}  # nvmlGpuTopologyLevel_t
ACTIONS = {0: "None", 1: "Reset", 2: "Reboot", 3: "Drain P2P", 4: "Drain and Reset"}  # as nvidia-smi words them
UNCORRECTED, VOLATILE = 1, 0  # nvmlMemoryErrorType_t, nvmlEccCounterType_t
MAX_LINKS = 18  # NVML_NVLINK_MAX_LINKS
SWITCH = 2  # NVML_NVLINK_DEVICE_TYPE_SWITCH

Containers = Callable[[int], Sequence[str]]  # pid -> container ids, the outermost first
Nodes = Mapping[str, int]  # slot, as the kernel writes it -> node of this machine


def read_gpus(nvml: Any, containers: Containers, nodes: Nodes) -> GpuFacts:
    """Raises whatever the library raises when it, its driver or a GPU does not work."""
    nvml.nvmlInit()
    try:
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        seen = (_gpu(nvml, index, handle) for index, handle in enumerate(handles))
        gpus = [replace(gpu, numa=nodes.get(slot_of(gpu.bus_id))) for gpu in seen]
        slices = [part for gpu, handle in zip(gpus, handles, strict=True) for part in _slices(nvml, gpu, handle)]
        processes = [p for gpu, h in zip(gpus, handles, strict=True) for p in _processes(nvml, gpu, h, containers)]
        return GpuFacts(
            driver=_text(nvml.nvmlSystemGetDriverVersion()),
            cuda=_cuda(_ask(nvml, "nvmlSystemGetCudaDriverVersion_v2")),
            gpus=in_order((*gpus, *slices)),
            processes=tuple(sorted(processes, key=lambda p: (p.gpu, p.pid))),
            topology=_topology(nvml, gpus, handles),
            problem=None if gpus else "No devices were found",
            source="nvml",
        )
    finally:
        nvml.nvmlShutdown()


def _ask(nvml: Any, function: str, *arguments: Any) -> Any:
    """The answer to what a driver or a card may not know; None then."""
    try:
        return getattr(nvml, function)(*arguments)
    except (nvml.NVMLError, AttributeError):
        return None


def _text(value: str | bytes) -> str:
    return one_line(value.decode("utf-8", "replace") if isinstance(value, bytes) else value)


def _cuda(version: int | None) -> str | None:
    return None if not version else f"{version // 1000}.{version % 1000 // 10}"


def _mib(size: int | None) -> int | None:
    """Whole MiB, as nvidia-smi counts them."""
    return None if size is None else size // MIB * MIB


def _gpu(nvml: Any, index: int, handle: Any) -> Gpu:
    memory = _ask(nvml, "nvmlDeviceGetMemoryInfo", handle, getattr(nvml, "nvmlMemory_v2", None))
    memory = memory or _ask(nvml, "nvmlDeviceGetMemoryInfo", handle)
    capability = _ask(nvml, "nvmlDeviceGetCudaComputeCapability", handle)
    mig = _ask(nvml, "nvmlDeviceGetMigMode", handle)
    pci = _ask(nvml, "nvmlDeviceGetPciInfo", handle)
    pages, rows = _ask(nvml, "nvmlDeviceGetRetiredPagesPendingStatus", handle), _rows(nvml, handle)
    pending = [bool(told) for told in (pages, rows and rows[2]) if told is not None]
    return Gpu(
        index=index,
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
        name=_text(nvml.nvmlDeviceGetName(handle)),
        memory_total=_mib(getattr(memory, "total", None)),
        memory_used=_mib(getattr(memory, "used", None)),
        memory_reserved=_mib(getattr(memory, "reserved", None)),
        compute_capability=f"{capability[0]}.{capability[1]}" if capability else None,
        bus_id=_text(pci.busId) if pci is not None else None,
        mig_mode=bool(mig[0]) if mig else None,
        problem=_problem(nvml, handle),
        ecc_errors=_ask(nvml, "nvmlDeviceGetTotalEccErrors", handle, UNCORRECTED, VOLATILE),
        pages_pending=any(pending) if pending else None,
        rows_failed=bool(rows[3]) if rows else None,
    )


def _rows(nvml: Any, handle: Any) -> Sequence[int] | None:
    """How many were replaced after errors of two kinds, whether one waits for that, and whether it failed."""
    told = _ask(nvml, "nvmlDeviceGetRemappedRows", handle)
    return told if told and len(told) == 4 else None


def _slices(nvml: Any, gpu: Gpu, handle: Any) -> Iterator[Gpu]:
    """Of a GPU in MIG mode; numbers may be missing in between."""
    for number in range(_ask(nvml, "nvmlDeviceGetMaxMigDeviceCount", handle) or 0) if gpu.mig_mode else ():
        part = _ask(nvml, "nvmlDeviceGetMigDeviceHandleByIndex", handle, number)
        if part is None:
            continue
        profile = _text(nvml.nvmlDeviceGetName(part)).rpartition(" MIG ")[2]
        memory = _ask(nvml, "nvmlDeviceGetMemoryInfo", part)
        made = slice_of(gpu, number, _text(nvml.nvmlDeviceGetUUID(part)), profile)
        total, used = _mib(getattr(memory, "total", None)), _mib(getattr(memory, "used", None))
        yield replace(made, memory_total=total or made.memory_total, memory_used=used)


def _problem(nvml: Any, handle: Any) -> str | None:
    """The recovery action that drivers from R565 on ask for."""
    identifier = getattr(nvml, "NVML_FI_DEV_GET_GPU_RECOVERY_ACTION", None)
    values = _ask(nvml, "nvmlDeviceGetFieldValues", handle, [identifier]) if identifier is not None else None
    if not values or values[0].nvmlReturn != 0:
        return None
    action = values[0].value.uiVal
    return recovery_problem(ACTIONS.get(action, f"action {action}"))


def _processes(nvml: Any, gpu: Gpu, handle: Any, containers: Containers) -> list[GpuProcess]:
    found = []
    for process in _ask(nvml, "nvmlDeviceGetComputeRunningProcesses", handle) or ():
        name = _ask(nvml, "nvmlSystemGetProcessName", process.pid)
        ids = containers(process.pid)
        memory = _mib(process.usedGpuMemory)
        found.append(GpuProcess(gpu.uuid, process.pid, _text(name or ""), memory, ids[-1] if ids else None))
    return found


def _topology(nvml: Any, gpus: Sequence[Gpu], handles: Sequence[Any]) -> dict[str, dict[str, str]]:
    if len(gpus) < 2:
        return {}
    links = [_nvlinks(nvml, handle) for handle in handles]
    found: dict[str, dict[str, str]] = {gpu.uuid: {} for gpu in gpus}
    for a, b in combinations(range(len(gpus)), 2):
        bonded = min(links[a]["switch"], links[b]["switch"]) or links[a][gpus[b].bus_id or ""]
        ancestor = ANCESTORS.get(_ask(nvml, "nvmlDeviceGetTopologyCommonAncestor", handles[a], handles[b]))
        link = f"NV{bonded}" if bonded else ancestor
        if link is not None:
            found[gpus[a].uuid][gpus[b].uuid] = found[gpus[b].uuid][gpus[a].uuid] = link
    return {uuid: row for uuid, row in found.items() if row}


def _nvlinks(nvml: Any, handle: Any) -> Counter[str]:
    """How many active NVLinks lead to an NVSwitch (`switch`), and to each GPU by its bus id."""
    found: Counter[str] = Counter()
    for link in range(MAX_LINKS):
        if not _ask(nvml, "nvmlDeviceGetNvLinkState", handle, link):
            continue
        if _ask(nvml, "nvmlDeviceGetNvLinkRemoteDeviceType", handle, link) == SWITCH:
            found["switch"] += 1
        elif (remote := _ask(nvml, "nvmlDeviceGetNvLinkRemotePciInfo", handle, link)) is not None:
            found[_text(remote.busId)] += 1
    return found
