"""Copies of models on a file server: one host reads them, and the others take what it found for files that are the same
there. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from deployer.dataclass import replace
from deployer.planning.shared_caches import shared_copy
from deployer.values.facts import HostFacts
from deployer.values.plan import Step
from deployer.values.transfers import CheckCopy


def read_once(facts: Mapping[str, HostFacts], steps: Sequence[Step]) -> Iterator[Step]:
    """The steps, where those that read what one before them reads wait for that one."""
    readers: dict[tuple[str, str], Step] = {}
    for step in steps:
        operation = step.operation
        place = shared_copy(operation.folder, facts[step.host].disks) if isinstance(operation, CheckCopy) else ""
        if not isinstance(operation, CheckCopy) or not place:
            yield step
            continue
        first = readers.setdefault((place, operation.manifest.id), step)
        yield step if first is step else _after(step, operation, first)


def _after(step: Step, operation: CheckCopy, first: Step) -> Step:
    told = replace(operation, read_by=first.host)
    return replace(step, operation=told, needs=(*step.needs, first.id), bytes=0)
