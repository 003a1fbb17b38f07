"""Why a replica is down, or needs another container than the one it has. Change, drift and default are never mixed."""

from __future__ import annotations

from collections.abc import Iterable

from deployer.planning.desired import DesiredReplica
from deployer.planning.local_images import is_of
from deployer.planning.replicas import Found
from deployer.values.image_content import ResolvedImage
from deployer.values.names import RETIRING
from deployer.values.plan import Cause, FieldDiff, Reason

GIB = 1 << 30
BESIDE = "so that its predecessor serves until it answers"


def live_of(items: Iterable[Found]) -> tuple[Found, ...]:
    return tuple(i for i in items if i.is_live)


def why_other(
    replica: DesiredReplica, old: Found, diff: tuple[FieldDiff, ...], is_unfinished: bool = False
) -> tuple[Cause, tuple[Reason, ...]]:
    """Why a replica needs another container than the one it has."""
    asked = _what_was_asked(replica, old)
    drifted = _what_drifted(replica, old, is_explained=bool(asked))
    if asked:
        return Cause.CHANGE, (*asked, *drifted)
    if drifted:
        return Cause.DRIFT, drifted
    if is_unfinished:
        return Cause.DRIFT, (Reason("unfinished", "an apply ended early"),)
    names = ", ".join(d.path for d in diff[:4])
    return Cause.DEFAULT, (Reason("default-changed", f"only defaults differ ({names})"),)


def _what_was_asked(replica: DesiredReplica, old: Found) -> tuple[Reason, ...]:
    return (*outdated(replica, old), *(Reason("spec-changed", edit) for edit in replica.edited))


def _what_drifted(replica: DesiredReplica, old: Found, is_explained: bool) -> tuple[Reason, ...]:
    reasons = []
    if old.recorded.spec is None:
        reasons.append(Reason("label-changed", "its labels do not say what it was made from"))
    if old.host != replica.host:
        so_that = f", {BESIDE}" if "host" in replica.placed.beside else ""
        reasons.append(Reason("host-changed", f"moves from `{old.host}` to `{replica.host}`{so_that}"))
    elif not is_explained:
        for name, value in (("gpus", list(replica.placed.gpus)), ("port", replica.placed.port)):
            if old.recorded.decisions.get(name) != value and name not in replica.placed.beside:
                word = {"gpus": "GPUs", "port": "port"}[name]
                reasons.append(Reason(f"{name}-changed", f"its {word} can no longer be the same"))
        if old.recorded.decisions.get("weights", replica.decisions["weights"]) != replica.decisions["weights"]:
            reasons.append(Reason("model-changed", "other files are there for its model"))
    if old.container.status != "running":
        reasons.append(why_down(old))
    return tuple(reasons)


def is_unfinished(old: Found, items: tuple[Found, ...]) -> bool:
    """What an apply that ended early may leave: a container that has not answered, or its predecessor beside it."""
    return old.is_live and (not old.is_verified or len(live_of(items)) > 1 or old.container.name.endswith(RETIRING))


def why_down(match: Found) -> Reason:
    container = match.container
    if container.status == "exited" and not match.is_verified:
        return Reason("stopped", "is stopped")  # what deployer stops gets the restart policy `no`
    if container.status == "exited":
        memory = ", out of memory" if container.oom_killed else ""
        return Reason("exited", f"its container exited with code {container.exit_code}{memory}")
    if container.status == "unresponsive":
        return Reason("unresponsive", "its container runs and does not serve")
    return Reason(container.status, f"its container is {container.status}")


def outdated(replica: DesiredReplica, match: Found) -> tuple[Reason, ...]:
    """What makes another container of one that was made from the very same."""
    rotated = (_rotation(name) for name in _rotated(replica, match))
    return (*rotated, *_other_image(replica, match), *_other_share(replica, match))


def _other_share(replica: DesiredReplica, match: Found) -> tuple[Reason, ...]:
    """Its label says to all projects of its host how much of its GPUs is its own."""
    has, wanted = match.container.gpu_share, replica.placed.share
    if has == wanted or not replica.placed.gpus:
        return ()
    return (Reason("share-changed", f"is to have {_of_gpus(wanted)}, and has {_of_gpus(has)}"),)


def _of_gpus(share: int | None) -> str:
    return "its GPUs alone" if share is None else f"{share / GIB:.1f} GiB of each of its GPUs"


def _other_image(replica: DesiredReplica, match: Found) -> tuple[Reason, ...]:
    """It runs another image of that name than the one that is pinned."""
    wanted, has, spec = replica.image, match.container.image_id, match.recorded.spec
    if not isinstance(wanted, ResolvedImage) or not wanted.pinned or not has:
        return ()
    if spec is None or spec.image != replica.container.image:
        return ()  # that says enough
    image = next((image for image in match.facts.images if image.id == has), None)
    if has in wanted.ids or (image is not None and is_of(image, wanted)):
        return ()
    content = wanted.on(match.facts.arch)
    now = (content.config.digest if content is not None else wanted.digest or "")[:19]
    where = f"`{wanted.archive}`" if wanted.archive else "deploy.lock"
    return (Reason("image-moved", f"its image `{wanted.reference}` is {has[:19]}, {where} has {now}"),)


def _rotated(replica: DesiredReplica, match: Found) -> list[str]:
    """Secrets whose value is known to differ; one that is not at hand is not checked."""
    recorded = match.recorded.secrets
    known = {name: value for name, value in replica.secrets.items() if value is not None and name in recorded}
    return sorted(name for name, value in known.items() if recorded[name] != value)


def _rotation(name: str) -> Reason:
    return Reason("secret-rotated", f"secret `{name}` has another value")
