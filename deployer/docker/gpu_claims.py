"""Which GPUs a container asked Docker for, as UUIDs where they are known. Reads the inspect answer only.

From Docker's daemon/nvidia_linux.go (device requests: ids, or the first N) and the NVIDIA container toolkit's
documentation (NVIDIA_VISIBLE_DEVICES, which of the whole environment is the only variable looked at).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deployer.docker.shapes import map_of, maps_of, number_of, text_of, texts_of
from deployer.formats.text import one_line
from deployer.values.gpu_facts import Gpu

VISIBLE = "NVIDIA_VISIBLE_DEVICES="
DEVICE_NODE = re.compile(r"/dev/nvidia(\d{1,3})\Z")
NOTHING = {"", "none", "void"}
ALL = "all"
MAX_COUNT = 256


def claimed_gpus(inspected: Mapping[str, Any], gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """UUIDs in the order asked for; `all`; or, where a GPU is not known here, what the container asked for."""
    host_config = map_of(inspected, "HostConfig")
    asked = [name for request in maps_of(host_config, "DeviceRequests") for name in _requested(request)]
    if not asked and "nvidia" in text_of(host_config, "Runtime"):
        asked = _visible(texts_of(map_of(inspected, "Config"), "Env"))
    asked += _nodes(maps_of(host_config, "Devices"))
    if ALL in asked:
        return (ALL,)
    return tuple(dict.fromkeys(_resolved(name, gpus) for name in asked if name.lower() not in NOTHING))


def _requested(request: Mapping[str, Any]) -> list[str]:
    ids = [one_line(name).removeprefix("nvidia.com/gpu=") for name in texts_of(request, "DeviceIDs")]
    if ids:
        return [name for name in ids if "=" not in name]  # CDI names of other vendors' devices
    kinds = request.get("Capabilities")
    wanted = {k for group in kinds if isinstance(group, list) for k in group} if isinstance(kinds, list) else set()
    if not wanted & {"gpu", "nvidia", "compute"}:
        return []
    count = number_of(request, "Count")
    return [ALL] if count < 0 else [str(index) for index in range(min(count, MAX_COUNT))]


def _visible(env: Iterable[str]) -> list[str]:
    values = [entry.removeprefix(VISIBLE) for entry in env if entry.startswith(VISIBLE)]
    return [one_line(name) for name in values[-1].split(",")[:MAX_COUNT]] if values else []


def _nodes(devices: Iterable[Mapping[str, Any]]) -> list[str]:
    """GPUs passed as device nodes; the driver numbers nodes as it does indexes, unless a GPU fell off the bus."""
    matches = (DEVICE_NODE.match(text_of(device, "PathOnHost")) for device in devices)
    return [match[1] for match in matches if match is not None]


def _resolved(name: str, gpus: Sequence[Gpu]) -> str:
    """The UUID of a GPU named by index, UUID, the start of one, or `INDEX:SLICE`; where that slice is not known, of
    the GPU that it is of."""
    for wanted in (name, name.partition(":")[0]):
        for gpu in gpus:
            if gpu.label == wanted or (len(wanted) > 4 and gpu.uuid.startswith(wanted)):
                return gpu.uuid
    return name
