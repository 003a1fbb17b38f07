"""How GPUs are connected: the matrix of `nvidia-smi topo -m`. Pure, raises nothing."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.formats.text import ANSI, lines
from deployer.pattern import pattern

LINK = pattern(r"(?:NV\d{1,3}|PIX|PXB|PHB|NODE|SYS)\Z")
SEPARATOR = pattern(r"\t| {2,}")
GPU = pattern(r"GPU(\d{1,3})\Z")
MAX_ROWS = 1024

Topology = dict[str, dict[str, str]]


def parse_topology(text: str, uuids: Mapping[int, str]) -> Topology:
    """UUID -> UUID -> link (NV18, PIX, PXB, PHB, NODE, SYS); GPUs and cells it does not know are left out.

    Cells are separated by tabs (by several blanks where a terminal was in between): titles such as `CPU Affinity`
    hold blanks. The header is underlined by escapes.
    """
    titles: list[str] | None = None
    found: Topology = {}
    for line in lines(ANSI.sub("", text[:1_000_000]), MAX_ROWS):
        cells = [cell.strip() for cell in SEPARATOR.split(line)]
        if titles is None:
            titles = cells if "GPU0" in cells or any(map(GPU.match, cells[1:])) else None
            continue
        own = _uuid(cells[0], uuids)
        if own is not None:
            found[own] = _links(own, titles, cells, uuids)
    return {uuid: links for uuid, links in found.items() if links}


def _links(own: str, titles: list[str], cells: list[str], uuids: Mapping[int, str]) -> dict[str, str]:
    pairs = ((_uuid(title, uuids), cell) for title, cell in zip(titles[1:], cells[1:], strict=False))
    return {other: cell for other, cell in pairs if other not in (None, own) and other is not None and LINK.match(cell)}


def _uuid(title: str, uuids: Mapping[int, str]) -> str | None:
    match = GPU.match(title)
    return uuids.get(int(match[1])) if match is not None else None
