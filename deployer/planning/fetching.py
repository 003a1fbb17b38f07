"""What a replica needs on its host before anything is stopped for it: image and directories."""

from __future__ import annotations

from deployer.planning.desired import DesiredReplica
from deployer.planning.local_images import is_there
from deployer.planning.steplist import StepList
from deployer.values.images import registry_of
from deployer.values.plan import MakeDirectory, PullImage


def image_steps(steps: StepList, new: DesiredReplica) -> tuple[str, ...]:
    """The pull, shared by all replicas of the host; none where the image is there."""
    image = new.container.image
    id_ = f"{new.host}/pull/{image}"
    if id_ not in steps.steps and is_there(new.placed.facts, image):
        return ()
    operation = PullImage(image, registry_of(image))
    return (steps.shared(id_, new.host, operation, f"replica `{new.key}` runs it"),)


def directory_steps(steps: StepList, new: DesiredReplica) -> tuple[str, ...]:
    paths = [mount.source for mount in new.container.mounts if mount.create]
    return tuple(
        steps.shared(f"{new.host}/directory/{path}", new.host, MakeDirectory(path), "a cache of its own")
        for path in paths
    )
