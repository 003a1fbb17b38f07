"""What is worth a look of hosts whose own memory is too little for the replicas on them. Warnings; forbids nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from deployer.errors import Diagnostic, warning
from deployer.planning.args_read import as_said
from deployer.planning.desired import DesiredReplica
from deployer.planning.host_memory import GIB
from deployer.spec.project import Project
from deployer.values.facts import HostFacts

if TYPE_CHECKING:
    from deployer.planning.placed import Placed

SMALL, MOST = 64, 1 << 62  # such a part of the memory; bytes, of a folder
HINT = "lower `context_length`, take smaller weights, or put some of them on other hosts"


def memory_warnings(project: Project, desired: Iterable[DesiredReplica]) -> list[Diagnostic]:
    """One a host. Replicas whose models are on GPUs as a whole are not counted."""
    needs: dict[str, dict[str, int]] = {}
    facts: dict[str, HostFacts] = {}
    for replica in desired:
        if replica.placed.facts.memory_total > 0 and _uses_processors(replica.placed):
            facts[replica.host] = replica.placed.facts
            needs.setdefault(replica.host, {})[str(replica.key)] = _need(project, replica.placed)
    return [
        _short(project, facts[host], found)
        for host, found in sorted(needs.items())
        if sum(found.values()) > facts[host].memory_total
    ]


def _uses_processors(placed: Placed) -> bool:
    """With a model of which something is known, and that is not small for its host."""
    service = as_said(placed.choice.backend, placed.choice.service)
    if placed.gpus and service.options.cpu_offload in (None, "none"):
        return False
    path = placed.choice.path_on(placed.facts)
    return path is not None and path.shape is not None and (path.size or MOST) * SMALL >= placed.facts.memory_total


def _need(project: Project, placed: Placed) -> int:
    from deployer.planning.host_memory_needs import host_memory_of

    choice = placed.choice
    service = project.with_backend(choice.name, choice.backend_name, choice.overrides)
    return host_memory_of(choice, service, placed.facts, len(placed.gpus)) or 0


def _short(project: Project, facts: HostFacts, needs: dict[str, int]) -> Diagnostic:
    who = ", ".join(f"`{key}`" for key, need in sorted(needs.items())[:10] if need)
    message = f"on host `{facts.name}` {who} need {sum(needs.values()) / GIB:.1f} GiB of its memory, and it has "
    where = project.where("hosts", facts.name)
    return warning("host-memory-short", f"{message}{facts.memory_total / GIB:.1f} GiB", where, hint=HINT)
