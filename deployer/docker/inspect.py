"""Docker's answers to observed values: containers, images, the daemon. Keeps no environment; pure.

Shapes of API 1.41 (Docker 20.10) and newer; fields that came or went between are read where they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, get_args

from deployer.dataclass import dataclass
from deployer.docker.gpu_claims import claimed_gpus
from deployer.docker.ownership import Identity, gpu_share, recorded_of
from deployer.docker.shapes import labels_of, map_of, maps_of, number_of, text_of, texts_of
from deployer.formats.text import one_line, whole_number
from deployer.values.facts import ContainerStatus, DockerFacts, ImageFact, ObservedContainer
from deployer.values.gpu_facts import Gpu
from deployer.values.names import LABEL_ID, LABEL_PROJECT

STATUSES: tuple[ContainerStatus, ...] = get_args(ContainerStatus)
ID = re.compile(r"[0-9a-f]{64}\Z")
IMAGE_ID = re.compile(r"sha256:[0-9a-f]{64}\Z")
NEVER = "0001-01-01T00:00:00Z"  # Docker's "not yet"
MAX_ITEMS = 10_000


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What of a host a container is read against. `image_labels` by image id; an id that is not in it is not known."""

    identity: Identity
    image_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    gpus: Sequence[Gpu] = ()


def parse_container(inspected: object, around: Surroundings) -> ObservedContainer:
    """Of `GET /containers/ID/json`. ValueError when it has no id or name."""
    data = inspected if isinstance(inspected, dict) else {}
    name, state, config = text_of(data, "Name").removeprefix("/"), map_of(data, "State"), map_of(data, "Config")
    if not ID.match(text_of(data, "Id")) or not name:
        raise ValueError("a container without id or name")
    labels, image_id = labels_of(config), text_of(data, "Image")
    own = _own(labels, around.image_labels.get(image_id))
    host_config = map_of(data, "HostConfig")
    return ObservedContainer(
        id=text_of(data, "Id"),
        name=one_line(name),
        image=one_line(text_of(config, "Image"), 512),
        image_id=one_line(image_id),
        status=_status(state),
        recorded=recorded_of(name, labels, around.image_labels.get(image_id), around.identity),
        health=_health(state),
        exit_code=number_of(state, "ExitCode") if text_of(state, "Status") in ("exited", "dead") else None,
        error=one_line(text_of(state, "Error"), 1000),
        oom_killed=state.get("OOMKilled") is True,
        restarts=number_of(data, "RestartCount"),
        started_at=_time(state, "StartedAt"),
        finished_at=_time(state, "FinishedAt"),
        restart_policy=text_of(map_of(host_config, "RestartPolicy"), "Name") or "no",
        restart_retries=number_of(map_of(host_config, "RestartPolicy"), "MaximumRetryCount"),
        auto_remove=host_config.get("AutoRemove") is True,
        ports=published_ports(data),
        gpus=claimed_gpus(data, around.gpus),
        gpu_share=gpu_share(own) if LABEL_PROJECT in own else None,
        network=_network(text_of(host_config, "NetworkMode")),
        labelled_project=_label(own, LABEL_PROJECT),
        labelled_id=_label(own, LABEL_ID),
        pid=number_of(state, "Pid"),
    )


def _status(state: Mapping[str, Any]) -> ContainerStatus:
    said = text_of(state, "Status")
    for status in STATUSES:
        if status == said:
            return status
    return "running" if state.get("Running") is True else "exited"


def _health(state: Mapping[str, Any]) -> str | None:
    status = text_of(map_of(state, "Health"), "Status")
    return status if status in ("starting", "healthy", "unhealthy") else None


def _time(state: Mapping[str, Any], key: str) -> str:
    text = one_line(text_of(state, key), 40)
    return "" if text == NEVER else text


def _network(mode: str) -> str:
    return "bridge" if mode in ("", "default") else one_line(mode)


def _own(labels: Mapping[str, str], image_labels: Mapping[str, str] | None) -> Mapping[str, str]:
    """Without those that Docker copied from the image, where its labels are known: an image owns no project."""
    return {key: value for key, value in labels.items() if image_labels is None or image_labels.get(key) != value}


def _label(labels: Mapping[str, str], key: str) -> str | None:
    return one_line(labels[key]) if key in labels else None


def published_ports(inspected: Mapping[str, Any]) -> tuple[tuple[str, int, str], ...]:
    """(address, host port, protocol): those asked for, and those Docker gave."""
    asked = map_of(map_of(inspected, "HostConfig"), "PortBindings")
    given = map_of(map_of(inspected, "NetworkSettings"), "Ports")
    found = set()
    for bindings in (asked, given):
        for target in list(bindings)[:MAX_ITEMS]:
            protocol = target.partition("/")[2] or "tcp"
            for binding in maps_of(bindings, target):
                port = whole_number(text_of(binding, "HostPort"), 65535)
                if port and protocol in ("tcp", "udp", "sctp"):
                    found.add((one_line(text_of(binding, "HostIp"), 64) or "0.0.0.0", port, protocol))
    return tuple(sorted(found))


def listed_containers(listed: object) -> tuple[Mapping[str, Any], ...]:
    """The entries of `GET /containers/json?all=1` that have an id."""
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return tuple(entry for entry in entries[:MAX_ITEMS] if ID.match(text_of(entry, "Id")))


def may_be_ours(entry: Mapping[str, Any], identity: Identity) -> bool:
    """Of an entry of the list: it carries the name of our project."""
    return labels_of(entry).get(LABEL_PROJECT) == identity.project


def parse_listed(entry: Mapping[str, Any], around: Surroundings, why: str) -> ObservedContainer:
    """A container of others that the engine lists and cannot describe: what it asked for is not known."""
    names = texts_of(entry, "Names")
    own = _own(labels_of(entry), around.image_labels.get(text_of(entry, "ImageID")))
    ports = {
        (one_line(text_of(port, "IP"), 64) or "0.0.0.0", number_of(port, "PublicPort"), text_of(port, "Type"))
        for port in maps_of(entry, "Ports")
        if 0 < number_of(port, "PublicPort") < 65536 and text_of(port, "Type") in ("tcp", "udp", "sctp")
    }
    return ObservedContainer(
        id=text_of(entry, "Id"),
        name=one_line(names[0].removeprefix("/")) if names else text_of(entry, "Id")[:12],
        image=one_line(text_of(entry, "Image"), 512),
        image_id=one_line(text_of(entry, "ImageID")),
        status=_status({"Status": text_of(entry, "State")}),
        ports=tuple(sorted(ports)),
        network=_network(text_of(map_of(entry, "HostConfig"), "NetworkMode")),
        labelled_project=_label(own, LABEL_PROJECT),
        labelled_id=_label(own, LABEL_ID),
        unread=why,
    )


def images_to_ask(listed: object, known: Mapping[str, object], identity: Identity) -> tuple[str, ...]:
    """Images that no list shows (untagged ones with children are hidden) of containers that may be ours."""
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    ours = (e for e in entries if labels_of(e).get(LABEL_PROJECT) == identity.project)
    found = {i for e in ours if IMAGE_ID.match(i := text_of(e, "ImageID")) and i not in known}
    return tuple(sorted(found))


def parse_images(listed: object) -> tuple[ImageFact, ...]:
    """Of `GET /images/json`."""
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    found = [
        ImageFact(
            id=text_of(entry, "Id"),
            tags=_names(entry, "RepoTags", "<none>:<none>"),
            digests=_names(entry, "RepoDigests", "<none>@<none>"),
            size=max(0, number_of(entry, "Size")),
        )
        for entry in entries[:MAX_ITEMS]
        if IMAGE_ID.match(text_of(entry, "Id"))
    ]
    return tuple(sorted(found, key=lambda image: (image.tags, image.id)))


def _names(entry: Mapping[str, Any], key: str, nothing: str) -> tuple[str, ...]:
    return tuple(sorted(one_line(name, 512) for name in texts_of(entry, key) if name != nothing))


def parse_image_labels(listed: object) -> dict[str, dict[str, str]]:
    """Image id -> labels, of `GET /images/json`."""
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return {text_of(entry, "Id"): labels_of(entry) for entry in entries[:MAX_ITEMS]}


def labels_of_image(inspected: object) -> dict[str, str]:
    """Of `GET /images/ID/json`."""
    return labels_of(map_of(inspected, "Config")) if isinstance(inspected, dict) else {}


def api_version(version: object) -> tuple[int, int]:
    """Of what `GET /version` says: (1, 41). ValueError when it is not there."""
    text = text_of(version, "ApiVersion") if isinstance(version, dict) else ""
    match = re.match(r"(\d{1,3})\.(\d{1,4})\Z", text)
    if match is None:
        raise ValueError("no version of the Docker API")
    return int(match[1]), int(match[2])


def parse_docker(version: object, info: object) -> DockerFacts:
    """Of `GET /version` and `GET /info`."""
    said = version if isinstance(version, dict) else {}
    more = info if isinstance(info, dict) else {}
    security = tuple(sorted(one_line(option) for option in texts_of(more, "SecurityOptions")))
    return DockerFacts(
        version=one_line(text_of(said, "Version")),
        api_version=one_line(text_of(said, "ApiVersion")),
        root_dir=one_line(text_of(more, "DockerRootDir"), 4096) or "/var/lib/docker",
        runtimes=tuple(sorted(one_line(name) for name in map_of(more, "Runtimes"))),
        default_runtime=one_line(text_of(more, "DefaultRuntime")) or "runc",
        storage_driver=one_line(text_of(more, "Driver")),
        cgroup_version=one_line(text_of(more, "CgroupVersion")),
        rootless=any("rootless" in option for option in security),
        security=security,
    )
