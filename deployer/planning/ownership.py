"""Who may have what: another owner's project of the same name is refused, secrets stay on the hosts they are for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deployer.errors import Diagnostic
from deployer.planning.desired import DesiredReplica
from deployer.planning.hosts import HostIndex
from deployer.spec.project import Project
from deployer.values.facts import HostFacts
from deployer.values.names import FOREIGN_PROJECT


def foreign_project_problems(project: Project, facts: Mapping[str, HostFacts]) -> tuple[Diagnostic, ...]:
    """A container that says it is of this project, but under another id, or under none."""
    if project.spec.id is None:
        return ()
    name = project.spec.project
    found = [
        (host, container.name, container.labelled_id)
        for host, seen in sorted(facts.items())
        for container in seen.containers
        if container.recorded is None
        and container.labelled_project == name
        and container.labelled_id is not None
        and container.labelled_id != project.spec.id
    ]
    if not found:
        return ()
    if not any(other for _, _, other in found):
        return (_nameless(project, [(host, container) for host, container, _ in found]),)
    return (
        Diagnostic(
            FOREIGN_PROJECT,
            f"another project `{name}` with another id runs on these hosts",
            project.where("id"),
            evidence=tuple(f"{host}: container {container} has {_id(other)}" for host, container, other in found[:10]),
            hint="rename this project, or set its `id` to the other one's if both are the same",
        ),
    )


def _id(said: str | None) -> str:
    return f"id `{said}`" if said else "no id"


def _nameless(project: Project, found: Sequence[tuple[str, str]]) -> Diagnostic:
    """Most likely the `id` was added to a project that ran without; nothing on the hosts can prove that."""
    return Diagnostic(
        FOREIGN_PROJECT,
        f"a project `{project.spec.project}` without an `id` runs on these hosts, and this one has the id "
        f"`{project.spec.id}`",
        project.where("id"),
        evidence=tuple(f"{host}: container {container} has no id" for host, container in found[:10]),
        hint="if it is this one: take `id` out of the spec, or run `deployer destroy` without it and apply with it; "
        "if not: rename this project",
    )


def forbidden_secrets(project: Project, replica: DesiredReplica, index: HostIndex) -> tuple[Diagnostic, ...]:
    """Secrets that this replica is given although `secrets.X.hosts` leaves its host out."""
    return tuple(
        Diagnostic(
            "secret-not-for-host",
            f"secret `{name}` of replica `{replica.key}` must not be sent to host `{replica.host}`",
            project.where("secrets", name, "hosts"),
            hint="narrow `placement.hosts` of the service, or widen `hosts` of the secret",
        )
        for name in replica.container.secret_names
        if name in project.spec.secrets and replica.host not in index.members(project.spec.secrets[name].hosts)
    )
