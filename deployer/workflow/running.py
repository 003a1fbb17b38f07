"""A program in the container of one replica."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deployer.engine.exec import Said, run_in
from deployer.engine.resolve import learn_secrets
from deployer.errors import DeployerError, Diagnostic
from deployer.workflow.logs import chosen
from deployer.workflow.session import Session


def run_in_service(session: Session, name: str, argv: Sequence[str]) -> Iterator[Said]:
    """`name`: a replica, or a service, whose first replica that runs is taken. DeployerError where none does."""
    meant = chosen(session.observe(), name)
    item = next((item for item in meant if item.container.status == "running"), None)
    if item is None:
        hint = "`deployer status` tells why"
        raise DeployerError(Diagnostic("not-running", f"no container of `{name}` runs", hint=hint))
    learn_secrets(session.project, session.secrets)
    yield from run_in(session.fleet[item.host], item.container.id, argv, session.secrets.redactor)
