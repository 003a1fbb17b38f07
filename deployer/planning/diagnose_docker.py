"""Is Docker there, new enough, and able to give containers the GPUs that the host has?"""

from __future__ import annotations

from collections.abc import Iterator

from deployer.errors import Diagnostic
from deployer.planning.packages import as_root, family_of, install_docker, install_toolkit
from deployer.planning.unread import unread_containers
from deployer.values.checks import Check, failed, passed, warned
from deployer.values.facts import HostFacts
from deployer.values.gpu_facts import GpuFacts
from deployer.values.tools import GPU_HOOKS

INSTALL_CODES = ("docker-missing", "docker-too-old")
UNSUPPORTED = "only NVIDIA GPUs are supported"


def without_docker(facts: HostFacts, reason: Diagnostic) -> Check:
    """Of a host that can be reached and whose Docker cannot be used."""
    installs = reason.code in INSTALL_CODES and not facts.tools.get("docker")
    remedy = install_docker(facts) if installs else reason.hint or "see to Docker on the host"
    return failed("docker", reason.message.removeprefix(f"host `{facts.name}`: "), remedy, reason.evidence)


def docker_checks(facts: HostFacts) -> Iterator[Check]:
    docker = facts.docker
    more = ", rootless" if docker.rootless else ""
    yield passed("docker", f"{docker.version} (API {docker.api_version}){more}, storage {docker.storage_driver or '?'}")
    for unread in unread_containers({facts.name: facts}):
        message = unread.message.removeprefix(f"host `{facts.name}`: ")
        yield warned("unread-containers", message, unread.hint or "", unread.evidence)
    if facts.gpus:
        yield _toolkit(facts)


def gpu_check(facts: HostFacts) -> Check:
    """The driver and what it says of each GPU."""
    gpu = facts.gpu
    if gpu.problem is not None and UNSUPPORTED in gpu.problem:
        return warned("gpus", gpu.problem, "serve on its CPUs, or use a host with NVIDIA GPUs")
    if not gpu.gpus and gpu.problem is None:
        return passed("gpus", "none, models are served by its CPUs")
    if not gpu.gpus:
        return failed("gpus", f"cannot be used: {gpu.problem}", driver_remedy(facts))
    broken = [f"GPU {one.label} ({one.name}): {one.problem}" for one in gpu.gpus if one.problem]
    broken += [gpu.problem] if gpu.problem else []
    if not broken:
        return passed("gpus", _said(gpu), [f"GPU {one.label}: {one.name}, {one.uuid}" for one in gpu.gpus])
    message = f"{len([one for one in gpu.gpus if one.problem is None])} of {len(gpu.gpus)} seen can be used"
    verdict = failed if all(one.problem for one in gpu.gpus) else warned
    return verdict("gpus", message, driver_remedy(facts), broken)


def _said(gpu: GpuFacts) -> str:
    names = sorted({one.name for one in gpu.gpus})
    beside = f"; beside them {', '.join(gpu.others)}, but {UNSUPPORTED}" if gpu.others else ""
    return f"{len(gpu.gpus)} x {', '.join(names)}; driver {gpu.driver or '?'}, CUDA {gpu.cuda or '?'}{beside}"


def driver_remedy(facts: HostFacts) -> str:
    """From the driver's words to what helps (NVIDIA's driver documentation and the Xid catalogue)."""
    said = (facts.gpu.problem or "").lower()
    if "mismatch" in said:
        reboot = as_root(facts, "reboot")
        return f"the driver was updated under the loaded module: reboot the host (`{reboot}`)"
    if "not installed" in said and "no driver" not in said:
        return "install the driver's utilities, which hold `nvidia-smi`, in the version of the loaded driver"
    if "no driver" in said or "couldn't communicate" in said or "has failed" in said:
        how = "`ubuntu-drivers install`" if "ubuntu" in facts.distribution else "your distribution's NVIDIA driver"
        module = as_root(facts, "modprobe nvidia")
        return f"see whether `{module}` works; if not, install {how} and reboot" if family_of(facts) else "install it"
    if "in time" in said or "hangs" in said:
        kernel = as_root(facts, "dmesg | grep -i -e NVRM -e Xid")
        return f"a GPU or its driver hangs: look at `{kernel}`, then reboot the host"
    kernel = as_root(facts, "dmesg | grep -i -e NVRM -e Xid")
    return f"look at `{kernel}`; reset the GPU (`nvidia-smi --gpu-reset -i INDEX`) or reboot the host"


def _toolkit(facts: HostFacts) -> Check:
    """Docker gives GPUs by a hook of NVIDIA's container toolkit, which it looks for when it starts."""
    hooks = [hook for hook in GPU_HOOKS if facts.tools.get(hook)]
    has_runtime = "nvidia" in facts.docker.runtimes
    if not hooks and not has_runtime and facts.tools:
        message = "Docker cannot give GPUs to containers: there is no NVIDIA container toolkit"
        return failed("gpu-runtime", message, install_toolkit(facts))
    if not has_runtime:
        message = "Docker has no `nvidia` runtime, which `container.runtime: nvidia` needs; `--gpus` works without it"
        return warned("gpu-runtime", message, install_toolkit(facts))
    seen = ", ".join(hooks) or "the `nvidia` runtime"
    return passed("gpu-runtime", f"Docker gives GPUs to containers by {seen}")
