"""Which profile a replica's NVIDIA NIM is told to take, where its image said which it has; and what is doubtful of it.

Pure. A profile that was chosen stays while image, GPUs and wishes are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from deployer.errors import Diagnostic, Severity
from deployer.planning.local_images import image_id
from deployer.planning.models import BY_NAME
from deployer.planning.nim_profiles import JudgedProfile, ProfileWish, chosen_profile, judged_profiles, named_profile
from deployer.spec.language import Service
from deployer.values.canonical import digest
from deployer.values.codec import to_data
from deployer.values.facts import HostFacts
from deployer.values.gpu_facts import Gpu
from deployer.values.nim import ImageProfiles

if TYPE_CHECKING:
    from deployer.planning.choice import ServiceChoice
    from deployer.planning.desired import DesiredReplica
    from deployer.planning.placed import Placed
    from deployer.planning.replicas import Found

AUTO = "auto"


def profiles_of(facts: HostFacts, image: str) -> ImageProfiles | None:
    """What the image said that the host has under this reference."""
    id_ = image_id(facts, image) if facts.nim_profiles else None
    return next((known for known in facts.nim_profiles if known.image == id_), None)


def written_profile(service: Service) -> str | None:
    """The one that the spec names."""
    return None if service.nim is None or service.nim.profile == AUTO else service.nim.profile


def wish_of(choice: ServiceChoice) -> ProfileWish:
    return ProfileWish.of(choice.service, own_weights=choice.model.scheme not in BY_NAME)


def profile_decision(placed: Placed, image: str, here: Found | None) -> dict[str, Any]:
    """What is to be written down of it: `profile`, its id, and `profile_inputs`; nothing where nothing is decided.
    `here`: the replica's container on this host. What was decided stays, also where the host forgot what the image
    said."""
    choice = placed.choice
    if not choice.backend.has_profiles or written_profile(choice.service) is not None:
        return {}
    known, inputs = profiles_of(placed.facts, image), _inputs(placed, image)
    before = here.recorded.decisions if here is not None else {}
    decided = before.get("profile") if before.get("profile_inputs") == inputs else None
    if known is not None and decided not in [profile.id for profile in known.profiles]:
        chosen = chosen_profile(judged_profiles(known.profiles, wish_of(choice), gpus_of(placed.facts, placed.gpus)))
        decided = chosen.id if chosen is not None else None
    return {"profile": decided, "profile_inputs": inputs} if isinstance(decided, str) else {}


def _inputs(placed: Placed, image: str) -> str:
    names = [gpu.name for gpu in gpus_of(placed.facts, placed.gpus)]
    return digest([image, names, to_data(wish_of(placed.choice))])


def gpus_of(facts: HostFacts, uuids: tuple[str, ...]) -> tuple[Gpu, ...]:
    return tuple(gpu for gpu in facts.gpus if gpu.uuid in uuids)


def profile_problems(replica: DesiredReplica) -> Iterator[Diagnostic]:
    """Of a NIM whose image said which profiles it has."""
    placed, service = replica.placed, replica.choice.service
    known = profiles_of(placed.facts, replica.container.image) if replica.choice.backend.has_profiles else None
    if known is None:
        return
    gpus = gpus_of(placed.facts, placed.gpus)
    judged = judged_profiles(known.profiles, wish_of(replica.choice), gpus)
    written, cards = written_profile(service), f"{len(gpus)} x {gpus[0].name}" if gpus else "no GPU"
    if written is not None:
        yield from _of_written(replica, known, judged, written)
    elif judged and judged[0].reasons:
        message = f"none of the {len(judged)} profiles of `{replica.container.image}` suits {cards} of `{replica.host}`"
        yield _warning("no-nim-profile", message, _nearest(judged), _remedy(replica))


def _of_written(
    replica: DesiredReplica, known: ImageProfiles, judged: tuple[JudgedProfile, ...], written: str
) -> Iterator[Diagnostic]:
    image, name = replica.container.image, replica.key.service
    best = chosen_profile(judged)
    hint = f"write `nim: {{profile: auto}}`, which takes {best.name}" if best is not None else _remedy(replica)
    found = named_profile(known.profiles, written)
    if isinstance(found, str):
        message = f"`{image}` cannot take profile `{written[:80]}` (service `{name}`): {found}"
        yield Diagnostic("unknown-nim-profile", message, hint=f"{hint}; `deployer nim-profiles {name}` lists them")
        return
    one = next(one for one in judged if one.profile is found)
    if one.reasons:
        message = f"profile {found.name} of service `{name}` does not suit its GPUs on host `{replica.host}`"
        yield _warning("doubtful-nim-profile", message, one.reasons, hint)


def _warning(code: str, message: str, evidence: tuple[str, ...], hint: str) -> Diagnostic:
    return Diagnostic(code, message, evidence=evidence, hint=hint, severity=Severity.WARNING)


def _nearest(judged: tuple[JudgedProfile, ...]) -> tuple[str, ...]:
    return tuple(f"{one.profile.name} {'; '.join(one.reasons)}" for one in judged[:3])


def _remedy(replica: DesiredReplica) -> str:
    return (
        f"`deployer nim-profiles {replica.key.service}` says of each why; give it other GPUs, or take another release"
    )
