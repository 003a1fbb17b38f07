"""Placed replicas as the containers they shall be: rendered, named, labelled, with what was decided for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from deployer import __version__
from deployer.dataclass import dataclass
from deployer.planning.choice import ServiceChoice
from deployer.planning.decisions import Written, check_image, decisions_of, edits_since, image_of
from deployer.planning.nim_decision import profile_decision
from deployer.planning.owed import NOTE, note
from deployer.planning.placed import Placed
from deployer.planning.render import render_setup
from deployer.planning.render_alike import Renderer
from deployer.planning.render_request import Placed as RenderPlaced
from deployer.planning.render_request import RenderRequest
from deployer.planning.replicas import Found, current
from deployer.spec.project import Project
from deployer.values.canonical import canonical_json, digest_of
from deployer.values.container import ContainerSpec
from deployer.values.image_content import ResolvedImage
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
from deployer.values.setup import SetupTask


@dataclass(frozen=True, slots=True)
class DesiredReplica:
    """A replica as it shall be. `secrets`: fingerprints of the secrets it is given; None where not at hand. `edited`:
    what people edited since its present container was made, for people. `image`: what the name of its image stands
    for, where that was looked up. `returns`: the former container that it is."""

    key: ReplicaKey
    placed: Placed
    container: ContainerSpec
    recorded_as: str  # the container as its label has it; `revision` is its digest
    revision: str
    name: str
    decisions: Mapping[str, Any]
    secrets: Mapping[str, str | None] = field(default_factory=dict)
    edited: tuple[str, ...] = ()
    setup: tuple[SetupTask, ...] = ()
    image: ResolvedImage | Unresolved | None = None
    returns: Found | None = None

    @property
    def image_ids(self) -> tuple[str, ...]:
        """By which a Docker may know its image, where deploy.lock, an archive, a digest or the former container say
        which one it is."""
        if self.returns is not None:
            return (self.returns.container.image_id,)
        known = self.image
        if not isinstance(known, ResolvedImage) or not (known.pinned or "@" in self.container.image):
            return ()
        return tuple(sorted(known.ids))

    @property
    def host(self) -> str:
        return self.placed.host

    @property
    def choice(self) -> ServiceChoice:
        return self.placed.choice


@dataclass(frozen=True, slots=True)
class Wanted:
    """What all replicas of a project are made from. `found`: what there is of them."""

    written: Written
    resolved: Resolved
    found: Mapping[ReplicaKey, tuple[Found, ...]]
    renderer: Renderer = field(default_factory=Renderer)


def desired_replica(wanted: Wanted, placed: Placed) -> DesiredReplica:
    """Renders one placed replica. Raises SpecError for what only rendering can see (a template, a substitution)."""
    written, found = wanted.written, wanted.found
    project, choice, here = written.project, placed.choice, current(found, placed.key)
    # what a host's labels say decides nothing on another host
    own = here if here is not None and here.host == placed.host else None
    image, why_image = image_of(project, placed, own)
    check_image(project, choice, image)
    profile = profile_decision(placed, image, own)
    request = RenderRequest(
        project=project,
        service_name=choice.name,
        key=placed.key,
        host_name=placed.host,
        facts=placed.facts,
        placed=RenderPlaced(gpus=placed.gpus, port=placed.port, cache=placed.cache),
        backend=choice.backend,
        image=image,
        category=choice.category,
        model=placed.model,
        backend_name=choice.backend_name,
        draft=placed.draft,
        others=tuple((facts, category) for facts, (_, category) in zip(placed.others, choice.others, strict=True)),
        overrides=choice.overrides,
        profile=profile.get("profile"),
    )
    rendered = wanted.renderer.rendered(request)
    container, text = rendered.container, canonical_json(rendered.data)
    noted = note(placed.taken, found.get(placed.key, ()), placed.host)
    revision = digest_of(text)[:REVISION_LENGTH]
    return DesiredReplica(
        key=placed.key,
        placed=placed,
        container=container,
        recorded_as=text,
        revision=revision,
        name=container_name(project.spec.project, placed.key, revision),
        decisions={**decisions_of(written, placed, image, why_image), **profile, **({NOTE: noted} if noted else {})},
        secrets={name: _fingerprint(wanted.resolved, name) for name in container.secret_names},
        edited=edits_since(written, choice, here) if here is not None else (),
        setup=render_setup(request),
        image=wanted.resolved.images.get(container.image),
    )


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
