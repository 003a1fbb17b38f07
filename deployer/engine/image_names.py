"""Images that a host has, by whatever Docker knows them by, and the names they are given."""

from __future__ import annotations

from deployer.docker.calls import Refusal, engine_calls
from deployer.engine.context import Site
from deployer.engine.ownership import inspect_image
from deployer.values.images import parse_image


def image_there(site: Site, image: str, ids: tuple[str, ...]) -> str | None:
    """The id of what the host has as one of `ids`, or by the very name where none are known."""
    for reference in ids or (image,):
        found = inspect_image(site, reference)
        if found is not None:
            return str(found["Id"])
    return None


def name_image(site: Site, id_: str, image: str) -> None:
    """Gives an image its name, as `docker pull` does, where it has another one or none."""
    reference = parse_image(image)
    if reference.tag is None and reference.digest is not None:
        return
    try:
        with engine_calls(site.host):
            named = f"{reference.registry}/{reference.repository}"
            site.transport.docker().tag(id_, named, reference.tag or "latest")
    except Refusal as refusal:
        raise site.refused(refusal, "name image", image) from None


def forget_name(site: Site, name: str) -> None:
    """Takes one of several names from an image; the image stays."""
    try:
        with engine_calls(site.host):
            site.transport.docker().remove_image(name, noprune=True)
    except Refusal as refusal:
        if refusal.status != 404:
            raise site.refused(refusal, "forget", name) from None
