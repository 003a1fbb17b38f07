"""Image references, parsed as Docker parses them: registry, repository, tag and digest."""

from __future__ import annotations

from functools import lru_cache

from deployer.dataclass import dataclass
from deployer.pattern import pattern

DEFAULT_REGISTRY = "docker.io"
REGISTRY = pattern(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9][a-zA-Z0-9-]*)*|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?\Z"
)
COMPONENT = pattern(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z")
TAG = pattern(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
DIGEST = pattern(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})\Z")
MAX_LENGTH = 255


@dataclass(frozen=True, slots=True)
class ImageReference:
    """`repository` is without its registry, and with `library/` where Docker Hub means that."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        name = f"{self.registry}/{self.repository}"
        return name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


@lru_cache(maxsize=1024)
def parse_image(text: str) -> ImageReference:
    """`[REGISTRY[:PORT]/]REPOSITORY[:TAG][@DIGEST]`; ValueError says what is wrong with it."""
    name, at, digest = text.partition("@")
    if at and not DIGEST.match(digest):
        raise ValueError(f"`{text}` has no digest after `@`; write it as `@sha256:` and 64 hex digits")
    head, slash, rest = name.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        registry, path = head, rest
    else:
        registry, path = DEFAULT_REGISTRY, name
    path, colon, tag = path.partition(":")
    if colon and not TAG.match(tag):
        raise ValueError(f"`{text}` has a bad tag: letters, digits, `_`, `.` and `-`, at most 128 of them")
    if not REGISTRY.match(registry):
        raise ValueError(f"`{text}` names no registry: `{registry}`")
    if not path or not all(COMPONENT.match(part) for part in path.split("/")):
        raise ValueError(f"`{text}` is not an image; write it as `registry/repository:tag`, in small letters")
    if len(path) > MAX_LENGTH:
        raise ValueError(f"the image's name is longer than {MAX_LENGTH} characters")
    if registry in ("index.docker.io", "registry-1.docker.io"):
        registry = DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY and "/" not in path:
        path = f"library/{path}"
    return ImageReference(registry, path, tag or None, digest or None)


def registry_of(text: str) -> str:
    """The registry's host (and port) of an image: `docker.io` where none is written. ValueError for a bad image."""
    return parse_image(text).registry
