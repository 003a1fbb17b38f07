"""Finds out whether a container gets a host's GPUs: runs the driver's `nvidia-smi -L`, which the container toolkit puts
into it, in an image that is there; the container is removed again."""

from __future__ import annotations

from deployer.dataclass import replace
from deployer.engine.context import Site
from deployer.engine.short_run import ShortRun, run_shortly
from deployer.errors import OperationError
from deployer.formats.nvidia_smi import parse_listed_uuids
from deployer.values.checks import GpuTrial
from deployer.values.container import ContainerSpec

PATIENCE = 60.0  # seconds
MEMORY = 1 << 30  # bytes
# With the driver's programs, which an image may do without; whether the driver suits the image is another question.
ENV = {"NVIDIA_DISABLE_REQUIRE": "1", "NVIDIA_DRIVER_CAPABILITIES": "utility,compute"}


def try_gpus(image: tuple[str, str], service: str, gpus: tuple[str, ...], site: Site) -> GpuTrial:
    """`image`: its name and its id; `service`: one that uses it; `gpus`: UUIDs."""
    spec = replace(
        ContainerSpec(image[0], command=("-L",), network="none", restart="no"),
        entrypoint=("nvidia-smi",), gpus=gpus, memory=MEMORY, pids_limit=256,
    )  # fmt: skip
    try:
        said = run_shortly(ShortRun(spec, image[1], service, ENV, PATIENCE, "no-answer"), site)
    except OperationError as error:
        found = error.diagnostic
        return GpuTrial(image[0], (), (found.message, *found.evidence)[-4:])
    seen = parse_listed_uuids("\n".join(said))
    return GpuTrial(image[0], seen, () if seen else said[-3:] or ("it printed nothing",))
