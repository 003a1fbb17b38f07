"""Finds the container an operation is about, and makes sure right before acting that it may be touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.docker.calls import Refusal, engine_calls
from deployer.docker.inspect import Surroundings, parse_container
from deployer.docker.ownership import Identity
from deployer.docker.shapes import labels_of, map_of, text_of
from deployer.engine.context import Site, failed
from deployer.errors import OperationError
from deployer.values.facts import ObservedContainer


def find(site: Site, name: str, id: str | None) -> ObservedContainer | None:
    """The container seen at plan time, or by its name the one this plan made; None when it is gone.

    OperationError `container-moved` when another one stands under that name, `not-ours` when it must not be touched.
    """
    container = look_closely(site, id or name)
    if container is None and id is not None:
        if (stranger := look(site, name)) is not None:
            raise moved(site, name, stranger)
        return None
    if container is not None and container.recorded is None:
        raise not_ours(site, container.name)
    return container


def look(site: Site, name_or_id: str) -> ObservedContainer | None:
    """A container's state. Whose it is, is not asked: `recorded` is None."""
    inspected = _inspect(site, "inspect_container", name_or_id)
    return _parsed(site, inspected, {}) if inspected is not None else None


def look_closely(site: Site, name_or_id: str) -> ObservedContainer | None:
    """With `recorded` where it is ours. Its image is asked too: labels that come from there prove nothing."""
    inspected = _inspect(site, "inspect_container", name_or_id)
    if inspected is None:
        return None
    image = text_of(inspected, "Image")
    labels = _image_labels(site, image) if image else None
    return _parsed(site, inspected, {image: labels} if labels is not None else {})


def _image_labels(site: Site, image: str) -> Mapping[str, str] | None:
    """None where it is gone. An id stands for what is in the image, so it is asked once."""
    known = site.context.image_labels
    if (site.host, image) not in known:
        inspected = inspect_image(site, image)
        if inspected is None:
            return None
        known[site.host, image] = labels_of(map_of(inspected, "Config"))
    return known[site.host, image]


def inspect_image(site: Site, reference: str) -> dict[str, Any] | None:
    return _inspect(site, "inspect_image", reference)


def _inspect(site: Site, method: str, reference: str) -> dict[str, Any] | None:
    try:
        with engine_calls(site.host):
            found = getattr(site.transport.docker(), method)(reference)
    except Refusal as refusal:
        if refusal.status == 404:
            return None
        raise site.refused(refusal, "inspect", reference) from None
    return found if isinstance(found, dict) else {}


def _parsed(site: Site, inspected: object, known: Mapping[str, Mapping[str, str]]) -> ObservedContainer:
    identity = Identity(site.context.project, site.context.id)
    try:
        return parse_container(inspected, Surroundings(identity, known, site.context.gpus.get(site.host, ())))
    except ValueError as error:
        raise failed("odd-answer", f"Docker describes a container badly: {error}", "check the host's Docker") from None


def not_ours(site: Site, name: str) -> OperationError:
    return failed(
        "not-ours",
        f"container `{site.words(name)}` is not of project `{site.context.project}`; it is left alone",
        "plan again; to have the name back, remove or rename that container yourself",
        host=site.host,
    )


def moved(site: Site, name: str, stranger: ObservedContainer) -> OperationError:
    return failed(
        "container-moved",
        f"container `{name}` was replaced by somebody since the plan was made; it is left alone",
        "plan again",
        (f"now {stranger.id[:12]}, {stranger.status}",),
        site.host,
    )
