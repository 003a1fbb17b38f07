"""Did a container get the GPUs that it was given? And if not, what to do, by what Docker or the driver said. Pure.

Sources: NVIDIA container toolkit documentation, "Troubleshooting", "Rootless mode" and "Container Device Interface";
Docker documentation, "GPU access".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deployer.planning.askable import AskableImage
from deployer.planning.diagnose_docker import driver_remedy
from deployer.planning.local_images import is_there
from deployer.planning.packages import as_root, install_toolkit
from deployer.values.checks import Check, GpuTrial, failed, passed, warned
from deployer.values.facts import HostFacts

NAME = "gpu-container"


def image_to_try(images: Iterable[AskableImage], facts: HostFacts) -> AskableImage | None:
    """One of the spec's that the host has, best one that is made for GPUs."""
    there = [one for one in images if is_there(facts, one.image)]
    return next((one for one in there if "cpu" not in one.image), None)


def gpu_container_check(facts: HostFacts, tried: GpuTrial | None) -> Iterator[Check]:
    """Nothing of hosts that were not tried."""
    if tried is None:
        return
    wanted = [gpu.uuid for gpu in facts.gpus if gpu.problem is None and gpu.parent is None]
    seen = [uuid for uuid in wanted if uuid in tried.seen]
    if len(seen) == len(wanted):
        yield passed(NAME, f"a container of `{tried.image}` sees {len(seen)} of {len(wanted)} GPUs")
    elif seen:
        message = f"a container of `{tried.image}` sees {len(seen)} of {len(wanted)} GPUs"
        yield warned(NAME, message, f"restart Docker (`{as_root(facts, 'systemctl restart docker')}`)", tried.said)
    elif _is_about_the_image(tried):
        message = f"`{tried.image}` cannot run `nvidia-smi`, so it does not tell whether containers get GPUs"
        yield warned(NAME, message, "try again on a host with an image that is built for CUDA", tried.said)
    else:
        yield failed(NAME, f"a container of `{tried.image}` gets no GPU", gpu_remedy(facts, tried), tried.said)


def _is_about_the_image(tried: GpuTrial) -> bool:
    """musl and other images that the driver's program does not run in."""
    said = " ".join(tried.said)
    does_not_start = "no such file or directory" in said or "executable file not found" in said
    return does_not_start and "nvidia-container" not in said and "libnvidia" not in said


def gpu_remedy(facts: HostFacts, tried: GpuTrial) -> str:
    said = " ".join(tried.said).lower()
    if "could not select device driver" in said or "unknown or invalid runtime" in said:
        return install_toolkit(facts)
    if "cdi" in said:
        command = as_root(facts, "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml")
        return f"its list of devices is not that of the driver: run on the host `{command}`"
    if "cgroup" in said or "bpf_prog" in said:
        wanted = "true" if facts.docker.rootless else "false"
        return f"set `no-cgroups = {wanted}` in /etc/nvidia-container-runtime/config.toml, then restart Docker"
    if "mismatch" in said or "failed to initialize nvml" in said or "driver error" in said:
        return driver_remedy(facts) if facts.gpu.problem else f"reboot the host (`{as_root(facts, 'reboot')}`)"
    restart = as_root(facts, "systemctl restart docker")
    return f"look at what it said; a driver or toolkit that was updated takes a restart of Docker (`{restart}`)"
