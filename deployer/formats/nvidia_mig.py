"""MIG slices as GPUs of their own: `nvidia-smi -L` names them, `nvidia-smi -q -x` says how much memory each has. Pure,
raises nothing, and reads no XML entities.

Sources: NVIDIA Multi-Instance GPU user guide, "Device Enumeration" (old UUIDs are `MIG-GPU-UUID/GI/CI`) and "MIG Device
Names"; nvsmi_device_v12.dtd.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from deployer.dataclass import replace
from deployer.formats.text import lines, one_line, whole_number
from deployer.pattern import pattern
from deployer.values.gpu_facts import Gpu

GPU_LINE = pattern(r"GPU \d{1,4}: .{0,200}\(UUID: (GPU-[0-9A-Za-z-]{1,80})\)\Z")
SLICE_LINE = pattern(
    r"\s+MIG (?P<profile>[0-9a-z.+]{1,40})\s+Device\s+(?P<number>\d{1,3}): "
    r"\(UUID: (?P<uuid>MIG-[0-9A-Za-z-]{1,80}(?:/\d{1,3}/\d{1,3})?)\)\Z"
)
PROFILE_MEMORY = pattern(r"\.(\d{1,4})gb")
XML_UUID = pattern(r"<uuid>\s*(GPU-[0-9A-Za-z-]{1,80})\s*</uuid>")
NUMBER = pattern(r"<index>\s*(\d{1,3})\s*</index>")
SIZE = r"<{}>\s*(\d{{1,9}}) MiB\s*</{}>"
MIB = 1 << 20
USABLE = 95  # per cent of the memory that a profile's name says, at least (1g.10gb has 9728 MiB of 10240)
MAX_TEXT = 4_000_000
MAX_SLICES = 1024

Sizes = dict[tuple[str, int], tuple[int | None, int | None]]  # (GPU, number) -> bytes in all, bytes in use


def parse_slices(listing: str, xml: str, gpus: Iterable[Gpu]) -> tuple[Gpu, ...]:
    """Of `nvidia-smi -L` and `nvidia-smi -q -x`; those of GPUs that are not given are left out."""
    known = {gpu.uuid: gpu for gpu in gpus}
    sizes = _sizes(xml[:MAX_TEXT])
    found: dict[str, Gpu] = {}
    parent: Gpu | None = None
    for line in lines(listing[:MAX_TEXT], MAX_SLICES):
        whole, part = GPU_LINE.match(line.rstrip()), SLICE_LINE.match(line.rstrip())
        if whole is not None:
            parent = known.get(whole[1])
        elif part is not None and parent is not None and parent.mig_mode:
            made = slice_of(parent, int(part["number"]), part["uuid"], part["profile"])
            total, used = sizes.get((parent.uuid, int(part["number"])), (None, None))
            found.setdefault(made.uuid, replace(made, memory_total=total or made.memory_total, memory_used=used))
    return tuple(found.values())


def slice_of(parent: Gpu, number: int, uuid: str, profile: str) -> Gpu:
    """With as much memory as the name of its profile promises."""
    said = PROFILE_MEMORY.search(profile)
    return Gpu(
        index=parent.index,
        uuid=uuid,
        name=one_line(f"{parent.name} MIG {profile}"),
        memory_total=int(said[1]) * 1024 * USABLE // 100 * MIB if said is not None else None,
        compute_capability=parent.compute_capability,
        bus_id=parent.bus_id,
        problem=parent.problem,
        parent=parent.uuid,
        slice=number,
    )


def _sizes(xml: str) -> Sizes:
    found: Sizes = {}
    for block in _parts(xml, "<gpu id=", "</gpu>"):
        uuid = XML_UUID.search(block)
        for device in _parts(block, "<mig_device>", "</mig_device>") if uuid is not None else ():
            number, memory = NUMBER.search(device), "".join(_parts(device, "<fb_memory_usage>", "</fb_memory_usage>"))
            if uuid is not None and number is not None:
                found[uuid[1], int(number[1])] = (_size(memory, "total"), _size(memory, "used"))
    return found


def _parts(text: str, first: str, last: str) -> list[str]:
    """What stands between these two, each time: linear, whatever the text is."""
    return [part.partition(last)[0] for part in text.split(first, MAX_SLICES)[1:] if last in part]


def _size(memory: str, name: str) -> int | None:
    said = re.search(SIZE.format(name, name), memory)
    size = whole_number(said[1], 1 << 30) if said is not None else None
    return None if size is None else size * MIB
