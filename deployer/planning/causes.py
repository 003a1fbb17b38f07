"""Why a container failed, told from its log and its end by the catalogue of failures. Pure; guesses nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from deployer.catalog.failures import Signature, signatures_of
from deployer.dataclass import dataclass

RANKS = (1, 2, 3)
DOCKER = "docker"  # the scope of what Docker says itself
LONGEST_LINE = 2000  # characters of a line that are looked at
PLACE = re.compile(r"\{(\w+)(:,)?\}")


@dataclass(frozen=True, slots=True)
class Ended:
    """`lines`: its log, clean, oldest first. `backend`: built in, whose texts are looked for; empty: all texts.
    `docker`: what Docker said of it."""

    lines: Sequence[str]
    backend: str
    out_of_memory: bool = False
    docker: str = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """`line` is what tells it, None where it is how the container ended. `change` is of the service's spec, `remedy` of
    something else."""

    id: str
    what: str
    line: str | None
    change: str | None
    remedy: str | None
    gpu: bool

    def hint(self, service: str) -> str:
        return f"{service}: {self.change}" if self.change is not None else self.remedy or ""


def find_cause(ended: Ended) -> Cause | None:
    """The first line that tells one, a telling text before a general one; None where nothing is known of it."""
    known = signatures_of(ended.backend)
    if ended.out_of_memory:
        return next((_cause(one, None) for one in known if one.text is None), None)
    log = "\n".join(line[:LONGEST_LINE] for line in ended.lines)
    for rank in RANKS:
        for text, is_docker in ((ended.docker, True), (log, False)):
            here = (one for one in known if one.rank == rank and (one.scope == DOCKER) is is_docker)
            if (found := _first(text, here)) is not None:
                return _cause(*found)
    return None


def _first(text: str, known: Iterable[Signature]) -> tuple[Signature, re.Match[str]] | None:
    """The one that is told by the earliest line; on one line, the one that stands first in the catalogue."""
    best: tuple[int, Signature, re.Match[str]] | None = None
    for one in known:
        found = one.text.search(text) if one.text is not None else None
        if found is None:
            continue
        start = text.rfind("\n", 0, found.start()) + 1
        if best is None or start < best[0]:
            best = (start, one, found)
    return best[1:] if best is not None else None


def _cause(one: Signature, found: re.Match[str] | None) -> Cause:
    def filled(text: str) -> str:
        return PLACE.sub(lambda place: _said(found, place), text)

    return Cause(
        one.id,
        filled(one.cause),
        _line_of(found) if found is not None else None,
        filled(one.change) if one.change is not None else None,
        filled(one.remedy) if one.remedy is not None else None,
        one.gpu,
    )


def _said(found: re.Match[str] | None, place: re.Match[str]) -> str:
    """What the log says in a place, as `{length}` or `{length:,}`; other braces stay."""
    name, grouped = place.groups()
    value = found.groupdict().get(name) if found is not None else None
    if value is None:
        return place[0]
    return f"{int(value):,}" if grouped else value


def _line_of(found: re.Match[str]) -> str:
    text = found.string
    start, end = text.rfind("\n", 0, found.start()) + 1, text.find("\n", found.start())
    return text[start : end if end >= 0 else len(text)].strip()
