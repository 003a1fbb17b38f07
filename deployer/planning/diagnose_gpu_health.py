"""Is the memory of the GPUs sound, and has the driver reported errors that come from them?

Sources: NVIDIA, "XID Errors" (which come from the hardware, and what helps); "GPU Memory Error Management" (retired
pages, and uncorrectable errors).
"""

from __future__ import annotations

from collections.abc import Iterator

from deployer.planning.packages import as_root
from deployer.values.checks import Check, passed, warned
from deployer.values.facts import HostFacts
from deployer.values.gpu_facts import Gpu, Xid

HARDWARE = {
    46: "the GPU stopped working",
    48: "a memory error that cannot be corrected",
    61: "an error of its microcontroller",
    62: "its microcontroller stopped",
    63: "a memory page or row was retired",
    64: "a memory page or row could not be retired",
    74: "an NVLink error",
    79: "the GPU fell off the bus",
    92: "many memory errors that were corrected",
    95: "a memory error that was not contained",
    119: "its system processor does not answer",
    120: "an error of its system processor",
    140: "an ECC error that was not recovered from",
    143: "it could not be initialized",
}


def gpu_health(facts: HostFacts) -> Iterator[Check]:
    """Nothing where the driver tells nothing of it."""
    said = [*_of_memory(facts), *map(_xid, _of_hardware(facts))]
    if said:
        reset = as_root(facts, "nvidia-smi --gpu-reset -i INDEX")
        remedy = f"take the GPU out with `gpus.exclude`, reset it (`{reset}`) or reboot; if it comes again, replace it"
        yield warned("gpu-health", "GPUs have reported errors of their hardware", remedy, said)
    elif any(gpu.ecc_errors is not None for gpu in facts.gpus):
        yield passed("gpu-health", "no memory errors that could not be corrected")


def _of_memory(facts: HostFacts) -> Iterator[str]:
    for gpu in facts.gpus:
        if gpu.ecc_errors:
            yield f"{_named(gpu)}: {gpu.ecc_errors} memory errors that could not be corrected"
        if gpu.pages_pending:
            yield f"{_named(gpu)}: bad pages or rows of its memory are replaced when it is reset"
        if gpu.rows_failed:
            yield f"{_named(gpu)}: a bad row of its memory could not be replaced: have the GPU exchanged"


def _of_hardware(facts: HostFacts) -> Iterator[Xid]:
    return (xid for xid in facts.gpu.xids if xid.code in HARDWARE)


def _named(gpu: Gpu) -> str:
    return f"GPU {gpu.label} ({gpu.name})"


def _xid(xid: Xid) -> str:
    times = f"{xid.count} times" if xid.count > 1 else "once"
    return f"GPU at {xid.bus_id}: Xid {xid.code} ({HARDWARE[xid.code]}), {times} since the host booted"
