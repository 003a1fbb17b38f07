"""Query: one prompt to one replica of a service, the next replica where the first cannot be asked."""

from __future__ import annotations

from collections.abc import Iterator

from deployer.engine.context import ApplyContext, Site
from deployer.engine.conversation import Wish, converse
from deployer.engine.watch import Watch
from deployer.errors import DeployerError, Diagnostic
from deployer.planning.readiness import probes_of_found
from deployer.values.operations import Probe
from deployer.workflow.session import Report, Session
from deployer.workflow.verifying import Meant, replicas_named

__all__ = ["Wish", "query", "replicas_named"]


def query(session: Session, meant: Meant, wish: Wish, report: Report) -> Iterator[str]:
    """The answer as it comes. Once a replica has begun to answer no other is asked. DeployerError where none did."""
    spec = session.project.spec
    context = ApplyContext(spec.project, spec.id, "", session.secrets, spec.registries)
    first: DeployerError | None = None
    for key, item in meant:
        operation = _asked(probes_of_found(spec, item)) if item is not None else None
        if item is None or operation is None:
            continue
        try:
            site = Site(context, session.fleet[item.host], Watch(str(key), item.host, "", report))
            pieces = converse(operation, wish, site)
            begun = next(pieces, "")
        except DeployerError as error:
            first = first or error
            continue
        yield begun
        yield from pieces
        return
    if first is not None:
        raise first
    name = meant[0][0].service if meant else "it"
    raise DeployerError(Diagnostic("not-running", f"no replica of `{name}` runs", hint="`deployer status` tells why"))


def _asked(probes: tuple[Probe, ...]) -> Probe | None:
    """Of several models the first that talks."""
    return next((probe for probe in probes if probe.category == "llm"), probes[0] if probes else None)
