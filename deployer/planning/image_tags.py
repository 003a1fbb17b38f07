"""What the reference of an image says of it: the backend's version, and whether it is of use to GPUs. Pure."""

from __future__ import annotations

import re

from deployer.backends.base import Backend
from deployer.backends.versions import parse_version, version_in
from deployer.spec.language import Service
from deployer.values.images import parse_image


def version_of(service: Service, image: str, backend: Backend) -> str | None:
    """The backend's version: as the image's tag says it, else as written beside an image, be it one of somebody's own
    or one whose tag names none, such as `latest`."""
    images = backend.images
    try:
        reference = parse_image(image)
        repositories = [parse_image(name) for name in (images.repository, images.cpu_repository) if name]
    except ValueError:
        return None
    is_ours = any((r.registry, r.repository) == (reference.registry, reference.repository) for r in repositories)
    if is_ours or (images.family and f"{reference.registry}/{reference.repository}".startswith(images.family)):
        patterns = (images.gpu, images.cpu, *images.others)
        tagged = next((v for p in patterns if p and (v := version_in(reference.tag or "", p))), None)
        return tagged or (service.version if parse_version(service.version) else None)
    return service.version


def image_for_gpus(backend: Backend, image: str) -> str | None:
    """What to take in place of the backend's own image for hosts without GPUs; None of any other, and where one image
    is for both."""
    images = backend.images
    name, _, tag = image.partition("@")[0].rpartition(":")
    if images.repository is None or images.gpu is None or images.cpu is None:
        return None
    if name != (images.cpu_repository or images.repository) or (not images.cpu_repository and images.cpu == images.gpu):
        return None
    if tag == images.cpu_unversioned:
        return f"{images.repository}:{images.gpu_unversioned}"
    found = re.fullmatch(re.escape(images.cpu).replace(r"\{number\}", r"(\d+(?:\.\d+)*)"), tag)
    return f"{images.repository}:{images.gpu.format(number=found[1])}" if found else None
