"""What was applied last, as the hosts wrote it down: in their records of the project, and of what answered since.
Writes nothing down.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from deployer.spec.language import DeploySpec
from deployer.values.facts import HostFacts
from deployer.values.records import ProjectRecord, Proven

APPLY = re.compile(r"\d{8}T\d{6}Z[0-9a-f]{8}\Z")  # begins with the time


def latest_record(spec: DeploySpec, facts: Mapping[str, HostFacts]) -> ProjectRecord | None:
    """The newest record of this project, by the time in the name of the apply that wrote it."""
    return next(reversed(_records(spec, facts)), None)


def _records(spec: DeploySpec, facts: Mapping[str, HostFacts]) -> list[ProjectRecord]:
    """The latest one last."""
    ours = [
        record
        for _, host in sorted(facts.items(), reverse=True)
        for record in host.records
        if record.project == spec.project and (spec.id is None or record.id == spec.id)
    ]
    return sorted(ours, key=lambda record: record.apply if APPLY.match(record.apply) else "")


def applied_inputs(spec: DeploySpec, facts: Mapping[str, HostFacts]) -> dict[str, str]:
    """By replica, what was written of its service when it was last applied, as a digest; by the record, or a container
    that has answered since, be it lost by now. Nothing where no host has a record: the project was destroyed."""
    records = _records(spec, facts)
    found = {key: (record.apply, of) for record in records for key, of in record.inputs.items()}
    there: set[str] = set()
    for host in facts.values():
        for recorded in (c.recorded for c in host.containers if c.recorded is not None and c.restart_policy != "no"):
            of, key = recorded.decisions.get("inputs"), str(recorded.key)
            there.add(key)
            if isinstance(of, str) and key in found and recorded.apply > found[key][0]:
                found[key] = recorded.apply, of
    for proven in (p for host in facts.values() for p in _proven(spec, host) if records and p.replica not in there):
        if proven.replica not in found or proven.apply > found[proven.replica][0]:
            found[proven.replica] = proven.apply, proven.inputs
    return {key: of for key, (_, of) in found.items()}


def _proven(spec: DeploySpec, host: HostFacts) -> Iterable[Proven]:
    return (p for p in host.proven if p.project == spec.project and APPLY.match(p.apply))


def proven_since(spec: DeploySpec, host: HostFacts, record: ProjectRecord | None) -> dict[str, str]:
    """By replica, what its host's record does not know yet."""
    since = record.apply if record is not None else ""
    return {p.replica: p.inputs for p in _proven(spec, host) if p.apply > since}
