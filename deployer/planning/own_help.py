"""What an image's own `--help` says of its flags, where `doctor` asked: it counts before the built-in tables. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from deployer.backends.base import Backend
from deployer.backends.versions import has_flag
from deployer.dataclass import dataclass
from deployer.errors import Diagnostic
from deployer.planning.local_images import image_id
from deployer.planning.render_request import RenderRequest
from deployer.spec.language import Service
from deployer.values.container import ContainerSpec
from deployer.values.facts import HostFacts, ImageFlags

ALIKE = 0.75


@dataclass(frozen=True, slots=True)
class Known:
    """Which flags a backend's version has, by the table and by what images of it said on the hosts."""

    backend: Backend
    version: str | None
    said: tuple[ImageFlags, ...] = ()

    def has(self, flag: str) -> bool:
        """Where images differ, the one that has it counts: the others are looked at when a replica is placed."""
        plain = flag.partition("=")[0]
        return any(one.has(plain) for one in self.said) or has_flag(self.backend, flag, self.version)


def said_by(facts: HostFacts, image: str) -> ImageFlags | None:
    """What the image said that the host has under this reference."""
    if not facts.image_flags:
        return None
    id_ = image_id(facts, image)
    return next((known for known in facts.image_flags if known.image == id_), None)


def foreign_flags(request: RenderRequest, service: Service, spec: ContainerSpec) -> Iterator[Diagnostic]:
    """Flags of the rendered command that the image on the host does not have, by its own `--help`."""
    known = said_by(request.facts, request.image)
    if known is None or service.container.command is not None or service.container.entrypoint is not None:
        return
    written = (arg.partition("=")[0] for arg in spec.command if arg.startswith("--") and len(arg) > 2)
    for flag in dict.fromkeys(flag for flag in written if not known.has(flag)):
        begun = [name for name in known.flags if name.startswith(flag)]
        if not (request.backend.takes_beginnings and len(begun) == 1):
            yield _foreign(request, known, flag)


def _foreign(request: RenderRequest, known: ImageFlags, flag: str) -> Diagnostic:
    by_hand = any(arg.partition("=")[0] == flag for arg in request.service.args)
    path = ("args",) if by_hand else ("options",)
    range_ = request.backend.flags.get(flag)
    instead = range_.instead if range_ is not None else None
    near = difflib.get_close_matches(flag, known.flags, n=1, cutoff=ALIKE)
    hint = f"write {instead}" if instead else f"did you mean `{near[0]}`?" if near else "remove it, or the option"
    return Diagnostic(
        "flag-not-in-image",
        f"`{request.image}` on host `{request.host_name}` has no `{flag}` (service `{request.service_name}`)",
        request.project.where("services", request.service_name, *path)
        or request.project.where("services", request.service_name),
        evidence=(f"its own `--help`, asked {known.asked}, names {len(known.flags)} flags and not this one",),
        hint=hint,
    )
