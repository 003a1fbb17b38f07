"""What is against going back to a former container: its record, secrets, policy, and who holds what it needs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic
from deployer.planning.claims import Claim, ForeignClaims, claims_of, foreign_claims, port_claim
from deployer.planning.desired import DesiredReplica
from deployer.planning.hosts import HostIndex
from deployer.planning.kept import gone_from
from deployer.planning.readiness import backend_of
from deployer.planning.replicas import Found
from deployer.spec.language import DeploySpec
from deployer.spec.project import Project
from deployer.values.container import ContainerSpec
from deployer.values.names import ReplicaKey


def refusals(project: Project, item: Found, index: HostIndex) -> Iterator[Diagnostic]:
    key, spec = item.recorded.key, item.recorded.spec
    what = f"the former revision `{item.recorded.revision}` of replica `{key}` on `{item.host}`"
    backend = backend_of(project.spec, item)
    if spec is None or port_of(item) is None or backend is None:
        hint = "set the spec back to what it was and apply"
        yield Diagnostic("record-unusable", f"{what} is not recorded well enough to be run again", hint=hint)
        return
    yield from _secrets_refused(project, item, spec, index, what)
    if spec.privileged and "privileged" in project.spec.policy.deny:
        hint = "set the spec to what is to run and apply"
        yield Diagnostic("privileged", f"{what} is privileged, which the policy denies", hint=hint)
    if item.host not in index.members(project.spec.services[key.service].placement.hosts):
        message = f"{what} is on a host that `placement.hosts` does not select"
        yield Diagnostic("host-not-selected", message, hint="set the spec to what is to run and apply")
    if project.spec.hosts[item.host].state == "drain" and not item.is_live:
        message = f"{what} cannot be started: its host is being drained"
        yield Diagnostic("host-drained", message, hint="set the host's `state` to `active`")
    for gone in gone_from(project.spec.hosts[item.host], item) if not item.is_live else ():
        yield Diagnostic("former-incomplete", f"{what} cannot be started: {gone}", hint="set the spec back and apply")


def _secrets_refused(
    project: Project, item: Found, spec: ContainerSpec, index: HostIndex, what: str
) -> Iterator[Diagnostic]:
    """Secrets go where the spec of today sends them, whatever a record says."""
    service = item.recorded.key.service
    bound = bound_secrets(project.spec, service, str(item.recorded.decisions.get("backend")))
    for name in spec.secret_names:
        source = project.spec.secrets.get(name)
        if source is None or name not in bound:
            message = f"{what} is given secret `{name}`, which the spec does not give to `{service}`"
            hint = f"give it to `services.{service}` again, or set the spec back and apply"
            yield Diagnostic("secret-not-bound", message, project.where("services", service), hint=hint)
        elif item.host not in index.members(source.hosts):
            message = f"{what} is given secret `{name}`, which must not be sent to that host"
            hint = "widen `hosts` of the secret, or set the spec back and apply"
            yield Diagnostic("secret-not-for-host", message, project.where("secrets", name, "hosts"), hint=hint)


def bound_secrets(spec: DeploySpec, service: str, backend: str) -> frozenset[str]:
    """Names of the secrets that the spec gives to a service, with this backend."""
    found = set(_named(spec.services[service].model_dump(mode="json")))
    for _ in range(len(spec.backends) + 1):
        pin = spec.backends.get(backend)
        if pin is None:
            break
        found |= set(_named(pin.model_dump(mode="json")))
        backend = pin.extends or ""
    return frozenset(found)


def _named(data: Any) -> Iterator[str]:
    """Whatever is written `{secret: NAME}`, with or without more keys."""
    if isinstance(data, dict):
        if isinstance(name := data.get("secret"), str):
            yield name
        for value in data.values():
            yield from _named(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _named(value)


@dataclass(frozen=True, slots=True)
class _Holder:
    who: str
    shares: bool  # its GPUs with others that do


def blocked(
    found: Mapping[ReplicaKey, Sequence[Found]], desired: Mapping[ReplicaKey, DesiredReplica]
) -> Iterator[Diagnostic]:
    """What a former container claims, others may have by now. `found`: of replicas that stay as they are."""
    held: dict[Claim, list[_Holder]] = {}
    for key, items in found.items():
        for item in items:
            holder = _Holder(f"replica `{key}`", item.container.gpu_share is not None)
            for claim in item.held:
                held.setdefault(claim, []).append(holder)
    for key, replica in sorted(desired.items()):
        shares = replica.placed.share is not None
        foreign = foreign_claims(replica.placed.facts)
        for claim in sorted(_claims(replica)):
            others = held.setdefault(claim, [])
            in_the_way = _in_the_way(claim, [*others, *_strangers(foreign, claim)], shares=shares)
            others.append(_Holder(f"replica `{key}`", shares))
            if in_the_way is not None:
                thing = f"{claim[1].partition('/')[0]} {claim[2]} of `{claim[0]}`"
                message = f"replica `{key}` cannot go back: {thing} is held by {in_the_way}"
                yield Diagnostic(
                    "rollback-blocked", message, hint="free it, or set the spec to what is to run and apply"
                )


def _claims(replica: DesiredReplica) -> frozenset[Claim]:
    return claims_of(replica.host, replica.container) | {port_claim(replica.host, replica.placed.port)}


def _strangers(foreign: ForeignClaims, claim: Claim) -> Iterator[_Holder]:
    who = foreign.holder(claim)
    if who is not None:
        yield _Holder(who, False)
    for sharer in sorted(foreign.shares.get(claim[2], ())) if claim[1] == "gpu" else ():
        yield _Holder(sharer, True)


def _in_the_way(claim: Claim, holders: Sequence[_Holder], *, shares: bool) -> str | None:
    """Who, if anybody: those that share a GPU are not in each other's way. Whether there is room for all of them is
    seen at the start."""
    may_share = shares and claim[1] == "gpu"
    return next((holder.who for holder in holders if not (may_share and holder.shares)), None)


def port_of(item: Found) -> int | None:
    """Of the host, as a container's record says; None where it says nonsense."""
    port = item.recorded.decisions.get("port")
    return port if isinstance(port, int) and not isinstance(port, bool) and 0 < port < 65536 else None
