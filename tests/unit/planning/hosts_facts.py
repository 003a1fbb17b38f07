"""The facts of a host on which all is well, to be changed one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deployer.spec.language import DeploySpec
from deployer.spec.project import Project
from deployer.values.container import ContainerSpec
from deployer.values.facts import Disk, DockerFacts, HostFacts, ObservedContainer, PathFact, Recorded
from deployer.values.gpu_facts import Gpu, GpuFacts
from deployer.values.names import ReplicaKey
from deployer.values.tools import TOOLS

GIB = 1 << 30
H100 = Gpu(0, "GPU-02e18039", "NVIDIA H100 80GB HBM3", 80 * GIB)
GPUS = GpuFacts("550.90.07", "12.4", (H100,), source="nvidia-smi")
CACHE = "/var/lib/deployer/cache"
GOOD = HostFacts(
    name="gpu-a", hostname="gpu-a", os="Ubuntu 24.04.1 LTS", kernel="6.8.0", arch="x86_64", uid=0, gid=0, user="root",
    cpus=64, memory_total=512 * GIB, memory_available=400 * GIB, time="2026-01-01T00:00:00Z",
    docker=DockerFacts("28.1.1", "1.49", runtimes=("nvidia", "runc"), storage_driver="overlay2"),
    gpu=GPUS,
    disks=(
        Disk("/var/lib/docker", "/", 900 * GIB, 500 * GIB), Disk("/var/lib/deployer", "/", 900 * GIB, 500 * GIB),
        Disk(CACHE, "/srv", 3600 * GIB, 1700 * GIB),
    ),
    paths={CACHE: PathFact(CACHE, "directory", writable=True)},
    sshd={"maxsessions": "10"}, sshd_readable=True, state_writable=True, distribution=("ubuntu", "debian"),
    tools=dict.fromkeys(TOOLS, True), clock_skew=0,
)  # fmt: skip


def project_on(**host: Any) -> Project:
    """Project `lab` with host `gpu-a`."""
    data = {"version": 1, "project": "lab", "id": "7f3a", "hosts": {"gpu-a": host}, "services": {}}
    return Project(DeploySpec.model_validate(data), "deploy.yaml", {})


def with_gpus(problem: str | None = None, *gpus: Gpu) -> HostFacts:
    return replace(GOOD, gpu=replace(GPUS, gpus=gpus, problem=problem))


def without(*tools: str, **changes: Any) -> HostFacts:
    return replace(GOOD, tools=GOOD.tools | dict.fromkeys(tools, False), **changes)


def ours(name: str = "lab_chat_0_0123456789ab", role: str = "replica", **changes: Any) -> ObservedContainer:
    """A container of the project that once answered."""
    spec = ContainerSpec("img", restart="always")
    recorded = Recorded("lab", "7f3a", ReplicaKey("chat", 0), 0, role, "0123456789ab", spec)
    made = ObservedContainer(
        id="c" * 64, name=name, image="img", image_id="sha256:1", status="running", recorded=recorded,
        restart_policy="always", labelled_project="lab", labelled_id="7f3a",
    )  # fmt: skip
    return replace(made, **changes)


def theirs(name: str, project: str | None = None, id: str | None = None) -> ObservedContainer:
    return ObservedContainer("d" * 64, name, "img", "sha256:2", "running", labelled_project=project, labelled_id=id)
