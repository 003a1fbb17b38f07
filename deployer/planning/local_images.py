"""Which images a host has: by their references, and where it is known what those stand for by their digests."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from deployer.values.facts import HostFacts, ImageFact
from deployer.values.image_content import ResolvedImage
from deployer.values.images import parse_image
from deployer.values.resolved import Unresolved

Known = ResolvedImage | Unresolved | None


def is_there(facts: HostFacts, image: str, known: Known = None) -> bool:
    """The host has this very reference; of an image that is pinned, what it stands for. A tag that moved since is not
    looked up."""
    return image_id(facts, image, known) is not None


def image_id(facts: HostFacts, image: str, known: Known = None) -> str | None:
    """Of what the host has under this very reference."""
    if isinstance(known, ResolvedImage) and known.pinned:
        return next((found.id for found in facts.images if is_of(found, known)), None)
    found = next((found.id for found in images_named(facts, image)), None)
    if found is None and "@" in image and isinstance(known, ResolvedImage):
        return next((found.id for found in facts.images if is_of(found, known)), None)  # a loaded one has no digest
    return found


def images_named(facts: HostFacts, image: str) -> Iterator[ImageFact]:
    try:
        reference = parse_image(image)
    except ValueError:
        return iter(())
    wanted = str(reference) if reference.digest or reference.tag else f"{reference}:latest"
    return (i for i in facts.images if any(_whole(name) == wanted for name in (*i.tags, *i.digests)))


def is_of(found: ImageFact, known: ResolvedImage) -> bool:
    """By the id of its config or manifest, or by the digest that it was pulled by."""
    return found.id in known.ids or any(name.rpartition("@")[2] in known.ids for name in found.digests)


@lru_cache(maxsize=4096)
def _whole(name: str) -> str | None:
    """With its registry; many hosts have the same."""
    try:
        return str(parse_image(name))
    except ValueError:  # `<none>:<none>`
        return None
