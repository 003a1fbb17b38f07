"""The order in which the engine is read: first what there is, all at once, then every container. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.dataclass import dataclass
from deployer.docker import inspect as shapes
from deployer.docker.ownership import Identity
from deployer.docker.reader import EngineReader, EngineRefusal
from deployer.docker.shapes import text_of
from deployer.docker.wire import Answer
from deployer.errors import Diagnostic, DockerError
from deployer.values.facts import DockerFacts

OLDEST_API = (1, 41)


@dataclass(frozen=True, slots=True)
class Overview:
    """`containers` and `images` are the engine's lists as they came."""

    docker: DockerFacts
    containers: Any
    images: Any


@dataclass(frozen=True, slots=True)
class Details:
    """`unread`: entries of the list that the engine cannot describe, and why; none of them may be ours."""

    inspected: tuple[Any, ...]
    image_labels: Mapping[str, Mapping[str, str]]
    unread: tuple[tuple[Mapping[str, Any], str], ...] = ()


def read_overview(reader: EngineReader, host: str) -> Overview:
    """The first round trip. DockerError `docker-too-old` below API 1.41."""
    info, containers, images = reader.read(["/info", "/containers/json?all=1", "/images/json"])
    daemon = _daemon(reader, info, host)
    return Overview(daemon, reader.data(containers, absent=[]), reader.data(images, absent=[]))


def read_details(reader: EngineReader, overview: Overview, identity: Identity) -> Details:
    """The second: every container, and images that no list shows. What vanished meanwhile is left out.

    DockerError where one that may be ours cannot be read: whoever plans without it would make it a second time.
    """
    labels = dict(shapes.parse_image_labels(overview.images))
    listed = shapes.listed_containers(overview.containers)
    hidden = shapes.images_to_ask(overview.containers, labels, identity)
    answers = reader.read(
        [f"/containers/{text_of(c, 'Id')}/json" for c in listed] + [f"/images/{i}/json" for i in hidden]
    )
    inspected: list[Any] = []
    unread: list[tuple[Mapping[str, Any], str]] = []
    for entry, answer in zip(listed, answers, strict=False):  # those of the images follow
        try:
            inspected.append(reader.data(answer))
        except EngineRefusal as refusal:
            if shapes.may_be_ours(entry, identity):
                raise
            unread.append((entry, refusal.why))
    for image, answer in zip(hidden, answers, strict=True):
        data = reader.data(answer)
        if data is not None:
            labels[image] = shapes.labels_of_image(data)
    return Details(tuple(data for data in inspected if data is not None), labels, tuple(unread))


def _daemon(reader: EngineReader, info: Answer, host: str) -> DockerFacts:
    """Every answer's head says the version (moby: VersionMiddleware). `/version` itself starts programs on the host."""
    server = info.headers.get("server", "")
    said = {"ApiVersion": info.headers.get("api-version", ""), "Version": server.removeprefix("Docker/").split(" ")[0]}
    version = said if server.startswith("Docker/") and said["ApiVersion"] else reader.get("/version")
    try:
        api = shapes.api_version(version)
    except ValueError as error:
        raise _unusable(host, "docker-unreadable", f"something else answers at Docker's socket: {error}") from None
    facts = shapes.parse_docker(version, {} if api < OLDEST_API else reader.data(info, absent={}))
    if api < OLDEST_API:
        raise _unusable(host, "docker-too-old", f"Docker {facts.version} (API {facts.api_version}) is too old")
    return facts


def _unusable(host: str, code: str, why: str) -> DockerError:
    least = ".".join(map(str, OLDEST_API))
    return DockerError(
        Diagnostic(
            code, f"host `{host}`: {why}", host=host, hint=f"install Docker Engine 20.10 or newer (API {least}) on it"
        )
    )
