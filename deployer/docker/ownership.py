"""Which containers are ours: those with our labels on themselves, our id, and the name that follows from the labels.

Nothing else is ever touched, so every doubt says "not ours".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.dataclass import dataclass
from deployer.values.canonical import revision_of
from deployer.values.codec import from_data, parse_json, to_data
from deployer.values.container import ContainerSpec
from deployer.values.facts import Recorded
from deployer.values.names import (
    CONTAINER,
    GPU_SHARE,
    LABEL_APPLY,
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
    RETIRING,
    ReplicaKey,
    container_name,
)

Labels = Mapping[str, str]
NAMING = (LABEL_PROJECT, LABEL_ID, LABEL_SERVICE, LABEL_REPLICA, LABEL_REVISION)
ROLES = ("replica", "task")
MAX_SPEC = 8 << 20  # characters; a spec holds the files it ships
MAX_SMALL = 1 << 20
MAX_SHARE = 1 << 50  # bytes that are still believed


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose containers are ours. Without an id in the spec the project's name alone counts."""

    project: str
    id: str | None = None


def recorded_of(name: str, labels: Labels, image_labels: Labels | None, identity: Identity) -> Recorded | None:
    """What our labels record of the container `name`; None unless it is ours.

    `image_labels` are those of the container's image, None where they are not known: then nothing proves that the
    labels are the container's own.
    """
    if image_labels is None or not _carried(labels, image_labels):
        return None
    recorded = parse_recorded(labels)
    if recorded is None or recorded.project != identity.project:
        return None
    if identity.id is not None and recorded.id != identity.id:
        return None
    expected = container_name(recorded.project, recorded.key, recorded.revision)
    return recorded if name in (expected, expected + RETIRING) else None


def _carried(labels: Labels, image_labels: Labels) -> bool:
    """Whether the labels that name a replica are the container's own. Docker shows an image's labels on its containers
    too, so equal ones prove nothing; only an image committed from a container of ours has them by right, and then
    the label of the apply, new each time, tells."""
    own = {key for key in (*NAMING, LABEL_APPLY) if key in labels and labels[key] != image_labels.get(key)}
    return LABEL_APPLY in own or all(key in own for key in NAMING if key in image_labels)


def parse_recorded(labels: Labels) -> Recorded | None:
    """The record in a container's labels, whoever owns it; None when the labels do not name a replica."""
    index, member = labels.get(LABEL_REPLICA, ""), labels.get(LABEL_MEMBER, "0")
    role, revision = labels.get(LABEL_ROLE, ""), labels.get(LABEL_REVISION, "")
    project, service = labels.get(LABEL_PROJECT, ""), labels.get(LABEL_SERVICE, "")
    if role not in ROLES or not _is_small_number(index) or not _is_small_number(member):
        return None
    key = ReplicaKey(service, int(index))
    if CONTAINER.match(container_name(project, key, revision)) is None or str(key.index) != index:
        return None
    return Recorded(
        project=project,
        id=labels.get(LABEL_ID, ""),
        key=key,
        member=int(member),
        role=role,
        revision=revision,
        spec=_spec(labels.get(LABEL_SPEC, ""), revision),
        decisions=_map(labels.get(LABEL_DECISIONS, "")),
        secrets={k: v for k, v in _map(labels.get(LABEL_SECRETS, "")).items() if isinstance(v, str)},
        version=labels.get(LABEL_VERSION, ""),
        apply=labels.get(LABEL_APPLY, ""),
    )


def gpu_share(labels: Labels) -> int | None:
    """How much of each of its GPUs a container of any project of deployer takes at most, in bytes."""
    share = _map(labels.get(LABEL_DECISIONS, "")).get(GPU_SHARE)
    return share if isinstance(share, int) and not isinstance(share, bool) and 0 < share <= MAX_SHARE else None


def _is_small_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6


def _spec(text: str, revision: str) -> ContainerSpec | None:
    """The recorded container; None when it does not parse or is not the one whose digest the revision is."""
    try:
        spec = from_data(ContainerSpec, parse_json(text, MAX_SPEC))
        return spec if revision_of(to_data(spec)) == revision else None
    except ValueError:
        return None


def _map(text: str) -> dict[str, Any]:
    try:
        data = parse_json(text, MAX_SMALL)
        return from_data(dict[str, Any], data)
    except ValueError:
        return {}
