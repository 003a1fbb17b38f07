"""Registries that stand for others: by which name an image is pulled there. Pulls nothing."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.spec.language import Registry
from deployer.values.images import parse_image


def pulled_as(image: str, registries: Mapping[str, Registry]) -> str:
    """Its name at the mirror of its registry, where the spec names one; else its own."""
    reference = parse_image(image)
    known = registries.get(reference.registry)
    if known is None or known.mirror is None:
        return image
    tag = f":{reference.tag}" if reference.tag else ""
    digest = f"@{reference.digest}" if reference.digest else ""
    return f"{known.mirror}/{reference.repository}{tag}{digest}"
