"""Which of the free GPUs of a host a replica gets: those it has, then those that are connected best. Pure arithmetic.

Ranks of links: the legend of `nvidia-smi topo -m`; NCCL user guide, "GPU-to-GPU communication".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

RANKS = {"PIX": 1, "PXB": 2, "PHB": 3, "NODE": 4, "SYS": 5}  # NVLink: 0
MOST_SEARCHED = 16  # GPUs of a host among which the best group is looked for

Topology = Mapping[str, Mapping[str, str]]


def best_group(free: Sequence[str], count: int, topology: Topology, had: Sequence[str] = ()) -> tuple[str, ...]:
    """So many of the free GPUs, those named first before others where their links are as good. What the replica has
    already stays, however it is connected."""
    if not topology and not had:
        return tuple(free[:count])
    kept = [uuid for uuid in had if uuid in free][:count]
    ordered = [*kept, *(uuid for uuid in free if uuid not in kept)]
    if not topology or len(kept) == count or len(free) <= count or len(free) > MOST_SEARCHED:
        return tuple(ordered[:count])
    if count == 1:
        return (min(ordered, key=lambda uuid: len(_linked(uuid, ordered, topology))),)
    for worst in range(max(RANKS.values()) + 1):
        group = next(_groups(ordered, count, topology, worst), None)
        if group is not None:
            return group
    return tuple(ordered[:count])


def is_linked(uuids: Sequence[str], topology: Topology) -> bool:
    """By NVLink, each with each; also where the host does not say."""
    pairs = ((one, other) for one in uuids for other in uuids if one < other)
    return not topology or all(rank(topology, one, other) == 0 for one, other in pairs)


def rank(topology: Topology, one: str, other: str) -> int:
    """0: NVLink, or not known."""
    link = topology.get(one, {}).get(other, "NV")
    return 0 if link.startswith("NV") else RANKS.get(link, max(RANKS.values()))


def _linked(uuid: str, free: Sequence[str], topology: Topology) -> list[str]:
    """Those of the free GPUs that are on NVLink with it: a single GPU is taken where that breaks the fewest groups."""
    return [other for other in free if other != uuid and rank(topology, uuid, other) == 0]


def _groups(free: Sequence[str], count: int, topology: Topology, worst: int) -> Iterator[tuple[str, ...]]:
    """Groups of which no two are connected worse than that, in the order of their GPUs."""

    def grown(group: tuple[str, ...], rest: Sequence[str]) -> Iterator[tuple[str, ...]]:
        if len(group) == count:
            yield group
            return
        for index, uuid in enumerate(rest):
            left = [other for other in rest[index + 1 :] if rank(topology, uuid, other) <= worst]
            if len(group) + 1 + len(left) >= count:
                yield from grown((*group, uuid), left)

    yield from grown((), free)
