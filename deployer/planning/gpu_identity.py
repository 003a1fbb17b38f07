"""Whether the GPUs of the hosts are those that the spec means: as many and of the kind it expects, and its indexes
still those of the same GPUs. A GPU is its UUID; an index moves when another one falls off the bus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from deployer.errors import Diagnostic, Where
from deployer.planning.choice import ServiceChoice
from deployer.planning.decisions import Written
from deployer.planning.gpus import entries_of, gpus_asked, is_selected
from deployer.planning.replicas import Found, current
from deployer.spec.project import Project
from deployer.values.facts import HostFacts
from deployer.values.names import ReplicaKey

EXPECT_HINT = "see what `deployer doctor` says of the host, or correct `gpus.expect`"


def unexpected_gpus(project: Project, facts: Mapping[str, HostFacts]) -> Iterator[Diagnostic]:
    """Where a host has other GPUs for deployer than its `gpus.expect` says."""
    for name, host in sorted(facts.items()):
        selection = project.spec.hosts[name].gpus
        expected = selection.expect
        if expected is None:
            continue
        where = project.where("hosts", name, "gpus", "expect")
        cards = [gpu for gpu in host.gpus if gpu.parent is None and is_selected(selection, gpu)]
        working = sum(gpu.problem is None for gpu in cards)
        if expected.count is not None and working != expected.count:
            message = f"host `{name}` is expected to have {expected.count} GPUs for deployer, and {working} work"
            broken = [f"GPU {gpu.index}: {gpu.problem}" for gpu in cards if gpu.problem]
            evidence = (*filter(None, [host.gpu.problem]), *broken)
            yield Diagnostic("gpus-not-expected", message, where, evidence=evidence, hint=EXPECT_HINT)
        odd = [gpu for gpu in cards if expected.model is not None and expected.model.lower() not in gpu.name.lower()]
        for gpu in odd[:1]:
            message = f"GPU {gpu.index} of host `{name}` is a {gpu.name}, and `{expected.model}` is expected"
            yield Diagnostic("gpus-not-expected", message, where, hint=EXPECT_HINT)


def moved_indexes(
    written: Written, choices: Mapping[str, ServiceChoice], found: Mapping[ReplicaKey, tuple[Found, ...]]
) -> Iterator[Diagnostic]:
    """Where what was not edited means another GPU than the one that a replica was put on."""
    for key in sorted(found):
        here, choice = current(found, key), choices.get(key.service)
        if here is None or choice is None or not here.facts.gpus or here.recorded.spec is None:
            continue
        had, project = here.recorded.spec.gpus, written.project
        if _was_listed(choice, key, here) and (uuid := _left_out(had, _meant(choice, key, here.facts))) is not None:
            where = project.where("services", key.service, "placement", "gpus")
            yield _moved(key, here, uuid, "`placement.gpus`", where)
        elif _was_selected(written, here) and (uuid := _left_out(had, _selected(written, here))) is not None:
            yield _moved(key, here, uuid, "`gpus` of the host", project.where("hosts", here.host, "gpus"))


def _was_listed(choice: ServiceChoice, key: ReplicaKey, here: Found) -> bool:
    """By indexes, and as it is listed now."""
    entries = (name for host, _, name in (e.partition(":") for e in entries_of(choice, key.index)) if host == here.host)
    by_index = any(_is_index(name) for name in entries)
    return by_index and here.recorded.decisions.get("gpus_asked") == gpus_asked(choice, key.index)


def _meant(choice: ServiceChoice, key: ReplicaKey, facts: HostFacts) -> frozenset[str]:
    names = {name for host, _, name in (e.partition(":") for e in entries_of(choice, key.index)) if host == facts.name}
    return frozenset(gpu.uuid for gpu in facts.gpus if names & {gpu.label, gpu.uuid})


def _was_selected(written: Written, here: Found) -> bool:
    """By indexes, and as the host's `gpus` says it now."""
    selection = written.project.spec.hosts[here.host].gpus
    by_index = any(_is_index(str(name)) for name in (*(selection.use or ()), *selection.exclude))
    return by_index and here.recorded.decisions.get("host_inputs") == written.host(here.host)


def _selected(written: Written, here: Found) -> frozenset[str]:
    selection = written.project.spec.hosts[here.host].gpus
    return frozenset(gpu.uuid for gpu in here.facts.gpus if is_selected(selection, gpu))


def _is_index(name: str) -> bool:
    return name.replace(":", "", 1).isdigit()


def _left_out(had: Iterable[str], meant: frozenset[str]) -> str | None:
    return next((uuid for uuid in had if uuid not in meant), None)


def _moved(key: ReplicaKey, here: Found, uuid: str, named_in: str, where: Where | None) -> Diagnostic:
    now = next((gpu.label for gpu in here.facts.gpus if gpu.uuid == uuid), None)
    what = f"is GPU {now} now" if now is not None else "is not seen any more"
    message = f"GPU indexes of host `{here.host}` moved: `{uuid}`, which replica `{key}` was given, {what}"
    hint = f"name GPUs by their UUIDs in {named_in}, then an index cannot move"
    return Diagnostic("gpu-moved", message, where, hint=hint)
