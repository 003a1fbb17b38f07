"""The order in which the engine is read: first what there is, all at once, then every container. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any

from deployer.dataclass import dataclass
from deployer.docker import inspect as shapes
from deployer.docker.ownership import Identity
from deployer.docker.reader import EngineReader, EngineRefusal
from deployer.docker.shapes import text_of
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


def read_overview(reader: EngineReader, pool: Executor, host: str) -> Overview:
    """The first round trip. DockerError `docker-too-old` below API 1.41."""
    daemon = pool.submit(_daemon, reader, host)
    containers = pool.submit(reader.get, "/containers/json?all=1", absent=[])
    images = pool.submit(reader.get, "/images/json", absent=[])
    return Overview(daemon.result(), containers.result(), images.result())


def read_details(reader: EngineReader, pool: Executor, overview: Overview, identity: Identity) -> Details:
    """The second: every container, and images that no list shows. What vanished meanwhile is left out.

    DockerError where one that may be ours cannot be read: whoever plans without it would make it a second time.
    """
    labels = dict(shapes.parse_image_labels(overview.images))
    listed = shapes.listed_containers(overview.containers)
    hidden = shapes.images_to_ask(overview.containers, labels, identity)
    unread: list[tuple[Mapping[str, Any], str]] = []

    def inspect(entry: Mapping[str, Any]) -> Any:
        try:
            return reader.get(f"/containers/{text_of(entry, 'Id')}/json")
        except EngineRefusal as refusal:
            if shapes.may_be_ours(entry, identity):
                raise
            unread.append((entry, refusal.why))
            return None

    inspected = pool.map(inspect, listed)
    for image, data in zip(hidden, pool.map(lambda i: reader.get(f"/images/{i}/json"), hidden), strict=True):
        if data is not None:
            labels[image] = shapes.labels_of_image(data)
    found = tuple(data for data in inspected if data is not None)
    return Details(found, labels, tuple(unread))


def _daemon(reader: EngineReader, host: str) -> DockerFacts:
    version = reader.get("/version")
    try:
        api = shapes.api_version(version)
    except ValueError as error:
        raise _unusable(host, "docker-unreadable", f"something else answers at Docker's socket: {error}") from None
    facts = shapes.parse_docker(version, {} if api < OLDEST_API else reader.get("/info", absent={}))
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
