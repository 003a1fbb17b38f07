"""Runs the probe on one host: one command, and for this machine NVML in place of nvidia-smi where it works."""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path

from deployer.dataclass import replace
from deployer.engine.probe import Asked, Probed, asked_paths, parse_probe, probe_script
from deployer.engine.probe_clock import clock_skew
from deployer.engine.probe_gpus import nodes_of
from deployer.engine.probe_nvml import read_gpus
from deployer.errors import Diagnostic, HostError
from deployer.formats.linux import container_ids
from deployer.formats.text import decoded, lines, one_line
from deployer.transport.base import Transport
from deployer.values.gpu_facts import GpuFacts

TIMEOUT = 75.0  # seconds; nvidia-smi may have to wake up eight GPUs
PLAIN_TIMEOUT = 20.0
NVML_TIMEOUT = 30.0
SLOTS = Path("/sys/bus/pci/drivers/nvidia")
DRIVERS = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")  # the last one: WSL


def probe_host(transport: Transport, question: Asked, *, gpus: bool = True) -> Probed:
    """All that the probe says. HostError when the host cannot run it or is no Linux."""
    gpu = local_gpus() if gpus and transport.host.connection == "local" else None
    asked = replace(question, paths=asked_paths(question.paths))
    try:
        probed = _probe(transport, asked, TIMEOUT, gpus=gpus and gpu is None)
    except HostError as error:
        if gpu is not None or error.diagnostic.code != "command-timeout":
            raise
        gpu = GpuFacts(problem="nvidia-smi hangs", source="nvidia-smi")
        probed = _probe(transport, asked, PLAIN_TIMEOUT, gpus=False)
    if probed.uname.system != "Linux":
        raise _unusable(transport.name, "not-linux", f"it runs {probed.uname.system}", "use a Linux host")
    return probed if gpu is None else replace(probed, gpu=replace(gpu, others=probed.gpu.others))


def _probe(transport: Transport, asked: Asked, timeout: float, *, gpus: bool) -> Probed:
    marker = secrets.token_hex(16)
    began = time.time()
    script = probe_script(marker, asked.paths, gpus=gpus, disks=asked.disks, folders=asked.folders, copies=asked.copies)
    done = transport.run(["sh", "-s"], stdin=script, timeout=timeout)
    ended = time.time()
    try:
        probed = parse_probe(done.stdout, marker, asked.paths, asked.disks, asked.folders, asked.copies)
        return replace(probed, clock_skew=clock_skew(probed.time, began, ended))
    except ValueError as error:
        said = tuple(one_line(line) for line in lines(decoded(done.stderr[-4096:]), 6) if line.strip())
        hint = "check that `ssh HOST sh -c 'uname -snrm; id'` works and prints two lines"
        raise _unusable(transport.name, "probe-failed", str(error), hint, said) from None


def _unusable(host: str, code: str, why: str, hint: str, evidence: tuple[str, ...] = ()) -> HostError:
    return HostError(Diagnostic(code, f"host `{host}` cannot be used: {why}", evidence=evidence, hint=hint, host=host))


def local_gpus() -> GpuFacts | None:
    """This machine's GPUs by NVML; None when NVML is not there or fails in any way, or hangs."""
    if not any(Path(driver).exists() for driver in DRIVERS):
        return None  # importing the library takes longer than asking whether it can work
    found: list[GpuFacts] = []

    def read() -> None:
        try:
            import pynvml

            found.append(read_gpus(pynvml, containers_of, nodes_here()))
        except Exception:
            return

    reading = threading.Thread(target=read, name="nvml", daemon=True)
    reading.start()
    reading.join(NVML_TIMEOUT)
    return found[0] if found else None


def nodes_here() -> dict[str, int]:
    """Of the slots of this machine's NVIDIA cards."""
    said = []
    for path in SLOTS.glob("*:*/numa_node"):
        with suppress(OSError):
            said.append(f"{path.parent.name} {path.read_text().strip()}")
    return nodes_of("\n".join(said))


def containers_of(pid: int) -> tuple[str, ...]:
    """The containers that a process of this machine is in, the outermost first."""
    try:
        return container_ids(Path(f"/proc/{pid}/cgroup").read_text("utf-8", "replace"))
    except OSError:
        return ()
