"""What the kernel's log says of NVIDIA's GPUs: Xid errors. Pure, raises nothing.

Source: NVIDIA, "XID Errors" (GPU deployment and management): `NVRM: Xid (PCI:0000:17:00): 79, pid=1234, ...`.
"""

from __future__ import annotations

from collections import Counter

from deployer.formats.text import lines
from deployer.pattern import pattern
from deployer.values.gpu_facts import Xid

LINE = pattern(r"NVRM: Xid \((?:PCI:)?([0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2})(?:\.\d)?\): (\d{1,4})\b")
MAX_LINES = 1000


def parse_xids(text: str) -> tuple[Xid, ...]:
    """Each kind of each GPU once."""
    found: Counter[tuple[str, int]] = Counter()
    for line in lines(text, MAX_LINES):
        match = LINE.search(line[:1000])
        if match is not None:
            found[match[1].lower(), int(match[2])] += 1
    return tuple(Xid(bus, code, count) for (bus, code), count in sorted(found.items()))
