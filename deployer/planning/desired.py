"""Placed replicas as the containers they shall be: rendered, named, labelled, with what was decided for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deployer import __version__
from deployer.planning.choice import ServiceChoice, model_inputs
from deployer.planning.gpus import gpus_asked
from deployer.planning.hosts import hosts_named
from deployer.planning.placement import Placed
from deployer.planning.render import choose_image, render_container
from deployer.planning.render_request import Placed as RenderPlaced
from deployer.planning.render_request import RenderRequest
from deployer.planning.replicas import Found, current
from deployer.spec.project import Project
from deployer.values.canonical import canonical_json, digest, digest_of
from deployer.values.codec import to_data
from deployer.values.container import ContainerSpec
from deployer.values.names import (
    LABEL_DECISIONS,
    LABEL_ID,
    LABEL_MEMBER,
    LABEL_PROJECT,
    LABEL_REPLICA,
    LABEL_REVISION,
    LABEL_ROLE,
    LABEL_SECRETS,
    LABEL_SERVICE,
    LABEL_SPEC,
    LABEL_VERSION,
    REVISION_LENGTH,
    ReplicaKey,
    container_name,
)
from deployer.values.resolved import Resolved, Unresolved


@dataclass(frozen=True, slots=True)
class DesiredReplica:
    """A replica as it shall be. `secrets`: fingerprints of the secrets it is given; None where not at hand. `edited`:
    what people edited since its present container was made, for people."""

    key: ReplicaKey
    placed: Placed
    container: ContainerSpec
    recorded_as: str  # the container as its label has it; `revision` is its digest
    revision: str
    name: str
    decisions: Mapping[str, Any]
    secrets: Mapping[str, str | None] = field(default_factory=dict)
    edited: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        return self.placed.host

    @property
    def choice(self) -> ServiceChoice:
        return self.placed.choice


def desired_replica(
    project: Project, resolved: Resolved, placed: Placed, found: Mapping[ReplicaKey, tuple[Found, ...]]
) -> DesiredReplica:
    """Renders one placed replica. Raises SpecError for what only rendering can see (a template, a substitution)."""
    choice, here = placed.choice, current(found, placed.key)
    # what a host's labels say decides nothing on another host
    image, why_image = _image(placed, here if here is not None and here.host == placed.host else None)
    container = render_container(
        RenderRequest(
            project=project,
            service_name=choice.name,
            key=placed.key,
            host_name=placed.host,
            facts=placed.facts,
            placed=RenderPlaced(gpus=placed.gpus, port=placed.port),
            backend=choice.backend,
            image=image,
            category=choice.category,
            model=placed.model,
            backend_name=choice.backend_name,
            draft=placed.draft,
        )
    )
    text = canonical_json(to_data(container))
    revision = digest_of(text)[:REVISION_LENGTH]
    return DesiredReplica(
        key=placed.key,
        placed=placed,
        container=container,
        recorded_as=text,
        revision=revision,
        name=container_name(project.spec.project, placed.key, revision),
        decisions=_decisions(project, placed, image, why_image),
        secrets={name: _fingerprint(resolved, name) for name in container.secret_names},
        edited=_edited(project, choice, here) if here is not None else (),
    )


def _image(placed: Placed, here: Found | None) -> tuple[str, str]:
    """The image and why; one that was decided automatically stays while its inputs stand."""
    choice = placed.choice
    image = choose_image(choice.service, choice.pin, choice.backend, bool(placed.gpus))
    pinned = choice.service.image or choice.service.version or (choice.pin and (choice.pin.image or choice.pin.version))
    if pinned:
        return image, "spec"
    inputs = _image_inputs(placed)
    if here is not None and here.recorded.decisions.get("image_inputs") == inputs:
        decided = here.recorded.decisions.get("image")
        if isinstance(decided, str):
            return decided, inputs
    return image, inputs


def _image_inputs(placed: Placed) -> str:
    return f"{placed.choice.backend.name} {'gpu' if placed.gpus else 'cpu'}"


def _decisions(project: Project, placed: Placed, image: str, why_image: str) -> dict[str, Any]:
    """What a later plan needs to keep today's decisions, and to tell an edit from a new default."""
    choice = placed.choice
    decisions: dict[str, Any] = {
        "inputs": digest(project.written.get(choice.name)),
        "host_inputs": _host_inputs(project, placed.host),
        "backend": choice.backend_name,
        "model": model_inputs(choice.model),
        "image": image,
        "image_inputs": why_image,
        "port": placed.port,
        "port_asked": choice.service.port.number,
        "gpus": list(placed.gpus),
        "gpus_asked": gpus_asked(choice, placed.key.index),
        "weights": _weights(placed),
    }
    if choice.service.protect:
        decisions["protect"] = True
    return decisions


def _weights(placed: Placed) -> str:
    """Which files serve, of those that the spec's path means on this host."""
    return digest([[m.path, *m.parts] for m in (placed.model, placed.draft) if m is not None])


def _host_inputs(project: Project, name: str) -> str:
    """What people wrote about a host, as far as it can change where a replica is or what it is made of."""
    host = project.spec.hosts[name]
    return digest([host.vars, host.labels, host.address, host.cache_dir, host.gpus.model_dump(mode="json")])


def _edited(project: Project, choice: ServiceChoice, here: Found) -> tuple[str, ...]:
    edits = []
    if here.recorded.decisions.get("inputs") != digest(project.written.get(choice.name)):
        edits.append("the spec was edited")
    if here.host not in hosts_named(project.spec, choice.service.placement.hosts):
        edits.append(f"host `{here.host}` is not selected any more")
    elif here.recorded.decisions.get("host_inputs") != _host_inputs(project, here.host):
        edits.append(f"host `{here.host}` was edited")
    return tuple(edits)


def _fingerprint(resolved: Resolved, name: str) -> str | None:
    found = resolved.secrets.get(name, Unresolved("not asked for"))
    return None if isinstance(found, Unresolved) else found


def labels_of(project: Project, replica: DesiredReplica) -> dict[str, str]:
    """Every label of ours but `deployer.apply`."""
    known = {name: value for name, value in replica.secrets.items() if value is not None}
    return {
        LABEL_PROJECT: project.spec.project,
        LABEL_ID: project.spec.id or "",
        LABEL_SERVICE: replica.key.service,
        LABEL_REPLICA: str(replica.key.index),
        LABEL_MEMBER: "0",
        LABEL_ROLE: "replica",
        LABEL_REVISION: replica.revision,
        LABEL_DECISIONS: canonical_json(replica.decisions),
        LABEL_SPEC: replica.recorded_as,
        LABEL_SECRETS: canonical_json(known),
        LABEL_VERSION: __version__,
    }
