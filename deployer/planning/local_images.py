"""Which images a host has, by their references."""

from __future__ import annotations

from deployer.values.facts import HostFacts
from deployer.values.images import parse_image


def is_there(facts: HostFacts, image: str) -> bool:
    """The host has this very reference; a tag that moved since is not looked up."""
    return image_id(facts, image) is not None


def image_id(facts: HostFacts, image: str) -> str | None:
    """Of what the host has under this very reference."""
    try:
        reference = parse_image(image)
    except ValueError:
        return None
    wanted = str(reference) if reference.digest or reference.tag else f"{reference}:latest"
    there = (i for i in facts.images if any(_is_reference(name, wanted) for name in (*i.tags, *i.digests)))
    return next((found.id for found in there), None)


def _is_reference(name: str, wanted: str) -> bool:
    try:
        return str(parse_image(name)) == wanted
    except ValueError:  # `<none>:<none>`
        return False
