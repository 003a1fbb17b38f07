"""What nvidia-smi says: its csv queries of old and new drivers, its header, its failures. Pure, raises nothing.

Source of the texts and of what a field needs: `nvidia-smi --help-query-gpu` and the man page nvidia-smi(1).
"""

from __future__ import annotations

import re

from deployer.dataclass import dataclass, replace
from deployer.formats.text import lines, one_line, whole_number
from deployer.pattern import pattern
from deployer.values.gpu_facts import Gpu, GpuProcess

BASE = ("index", "uuid", "driver_version", "pci.bus_id", "memory.total", "memory.used")
HEALTH = ("ecc.errors.uncorrected.volatile.total", "retired_pages.pending")
QUERIES: tuple[tuple[str, ...], ...] = (  # an unknown field fails the whole call; `name` is last, it may hold commas
    (*BASE, "memory.reserved", "mig.mode.current", "compute_cap", *HEALTH, "gpu_recovery_action", "name"),  # from R565
    (*BASE, "memory.reserved", "mig.mode.current", "compute_cap", *HEALTH, "name"),  # from R510 on
    (*BASE, "memory.reserved", "mig.mode.current", "compute_cap", "name"),
    (*BASE, "mig.mode.current", "name"),  # from R450 on
    (*BASE, "name"),
)
APPS = ("gpu_uuid", "pid", "used_memory", "process_name")

ROWS = ("gpu_uuid", "remapped_rows.pending", "remapped_rows.failure")  # since Ampere, where no pages are retired
YES = {"yes": True, "no": False, "1": True, "0": False}

UNKNOWN = {"[n/a]", "n/a", "[not supported]", "[not found]", "[insufficient permissions]", "[unknown]", ""}
BROKEN = pattern(r"\[?(?:GPU requires reset|GPU is lost|Unknown Error|ERR!|Reset Required)\]?\Z", re.IGNORECASE)
UUID = pattern(r"GPU-[0-9A-Za-z-]{1,80}\Z")
LISTED = pattern(r"GPU \d{1,4}: .*\(UUID: (GPU-[0-9A-Za-z-]{1,80})\)\Z")
HELD = pattern(r"(?:GPU|MIG)-[0-9A-Za-z/-]{1,90}\Z")  # a whole GPU or a slice
BUS_ID = pattern(r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]\Z")
VERSION = pattern(r"\d{1,4}(?:\.\d{1,4}){1,3}\Z")
CAPABILITY = pattern(r"\d{1,2}\.\d\Z")
CUDA = pattern(r"CUDA(?:\s+\w+)?\s+Version\s*:\s*(\d{1,3}\.\d{1,2})")
FAILED = pattern(
    r"NVIDIA-SMI has failed|Failed to initialize NVML|couldn't find libnvidia-ml|Unable to determine the device handle"
    r"|No devices were found|GPU is lost|GPU access blocked|Insufficient Permissions|not found"
)
MIB = 1 << 20
MAX_GPUS = 256
MAX_PROCESSES = 4096
MAX_MEMORY = 1 << 30  # MiB of one GPU that are still believed


@dataclass(frozen=True, slots=True)
class GpuRows:
    """The GPUs of one query, by index."""

    driver: str | None = None
    gpus: tuple[Gpu, ...] = ()


def parse_gpus(text: str, fields: tuple[str, ...]) -> GpuRows:
    """Of `--query-gpu=FIELDS --format=csv,noheader,nounits`; lines that are no row are left out."""
    driver: str | None = None
    found: dict[str, Gpu] = {}
    if not {*BASE, "name"} <= set(fields):
        return GpuRows()
    for line in lines(text, MAX_GPUS * 4):
        row = _row(line, fields)
        gpu = _gpu(row) if row is not None else None
        if row is None or gpu is None or gpu.uuid in found or len(found) == MAX_GPUS:
            continue
        found[gpu.uuid] = gpu
        driver = driver or (row["driver_version"] if VERSION.match(row["driver_version"]) else None)
    return GpuRows(driver, tuple(sorted(found.values(), key=lambda g: (g.index, g.uuid))))


def parse_listed_uuids(text: str) -> tuple[str, ...]:
    """Of `nvidia-smi -L`: `GPU 0: NVIDIA A40 (UUID: GPU-...)`."""
    found = (LISTED.match(one_line(line, 400)) for line in lines(text, MAX_GPUS * 4))
    return tuple(dict.fromkeys(match[1] for match in found if match is not None))[:MAX_GPUS]


def _row(line: str, fields: tuple[str, ...]) -> dict[str, str] | None:
    cells = [one_line(cell) for cell in line[:4096].split(", ", len(fields) - 1)]
    return dict(zip(fields, cells, strict=True)) if len(cells) == len(fields) else None


def _gpu(row: dict[str, str]) -> Gpu | None:
    index = whole_number(row["index"], 4096)
    if index is None or not UUID.match(row["uuid"]):
        return None
    return Gpu(
        index=index,
        uuid=row["uuid"],
        name=row["name"],
        memory_total=_memory(row["memory.total"]),
        memory_used=_memory(row["memory.used"]),
        memory_reserved=_memory(row.get("memory.reserved", "")),
        compute_capability=_matching(CAPABILITY, row.get("compute_cap", "")),
        bus_id=_matching(BUS_ID, row["pci.bus_id"]),
        mig_mode={"enabled": True, "disabled": False}.get(row.get("mig.mode.current", "").lower()),
        problem=_problem(row),
        ecc_errors=whole_number(row.get(HEALTH[0], "")),
        pages_pending=YES.get(row.get(HEALTH[1], "").lower()),
    )


def with_rows(gpu: Gpu, text: str) -> Gpu:
    """And what `--query-remapped-rows` with the fields ROWS says of its memory."""
    rows = (_row(line, ROWS) for line in lines(text, MAX_GPUS * 4))
    row = next((row for row in rows if row is not None and row["gpu_uuid"] == gpu.uuid), {})
    pending, failed = (YES.get(row.get(field, "").lower()) for field in ROWS[1:])
    is_pending = pending if gpu.pages_pending is None else gpu.pages_pending or bool(pending)
    return replace(gpu, pages_pending=is_pending, rows_failed=failed)


def _matching(pattern: re.Pattern[str], cell: str) -> str | None:
    return cell if pattern.match(cell) else None


def _memory(cell: str) -> int | None:
    number = whole_number(cell.removesuffix(" MiB"), MAX_MEMORY)
    return None if number is None else number * MIB


def _problem(row: dict[str, str]) -> str | None:
    for cell in row.values():
        if BROKEN.match(cell):
            return cell.strip("[]")
    return recovery_problem(row.get("gpu_recovery_action", ""))


def recovery_problem(action: str) -> str | None:
    """Why a GPU whose driver asks for a recovery action cannot be used."""
    if action.lower() in UNKNOWN or action.lower() == "none":
        return None
    return f"the driver asks for: {one_line(action, 60)}"


def parse_compute_apps(text: str) -> tuple[GpuProcess, ...]:
    """Of `--query-compute-apps` with the fields APPS; `container` is not known here."""
    found = []
    for line in lines(text, MAX_PROCESSES):
        row = _row(line, APPS)
        pid = whole_number(row["pid"], 2**32) if row is not None else None
        if row is not None and pid is not None and HELD.match(row["gpu_uuid"]):
            found.append(GpuProcess(row["gpu_uuid"], pid, row["process_name"], _memory(row["used_memory"])))
    return tuple(sorted(found, key=lambda p: (p.gpu, p.pid)))


def parse_cuda_version(text: str) -> str | None:
    """The newest CUDA the driver speaks, from the header (`CUDA Version:`, since about R610 `CUDA UMD Version:`)."""
    match = CUDA.search(text[:20_000])
    return match[1] if match is not None else None


def failure(text: str, exit_code: int) -> str | None:
    """Why a call gave no (or not every) GPU, in nvidia-smi's own words; None when nothing was wrong."""
    if exit_code in (124, 137):
        return "nvidia-smi did not answer in time"
    shown = [one_line(line, 300) for line in lines(text[:20_000], 200)]
    said = [line for line in shown if FAILED.search(line)]
    if said:
        return " ".join([said[0], *(line for line in shown if line.startswith("NVML library version"))])
    if exit_code in (0, 14):  # 14: a corrupted infoROM, an advisory
        return None
    return next((line for line in shown if line), None) or f"nvidia-smi exited with {exit_code}"
