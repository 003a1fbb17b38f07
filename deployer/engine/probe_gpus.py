"""GpuFacts from the probe's sections. What nvidia-smi could not say is a fact too (`problem`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from deployer.dataclass import replace
from deployer.formats.text import lines, one_line, whole_number
from deployer.pattern import pattern
from deployer.values.gpu_facts import Gpu, GpuFacts, in_order

Answers = Mapping[str, Sequence[tuple[tuple[str, ...], str]]]  # section -> (words of its heading, text)
MODULE = pattern(r"NVIDIA UNIX .*?\s(\d{3,4}(?:\.\d{1,4}){1,2})\s")
MOST_SLOTS = 256
HARDWARE = ("pci ", "/dev/")  # what is no mere tool
VENDORS = {
    "amd-smi": "AMD", "rocm-smi": "AMD", "/dev/kfd": "AMD", "npu-smi": "Huawei Ascend",
    "/dev/davinci_manager": "Huawei Ascend", "hl-smi": "Intel Gaudi", "xpu-smi": "Intel",
    "cnmon": "Cambricon", "ixsmi": "Iluvatar", "mthreads-gmi": "Moore Threads",
    "hy-smi": "Hygon", "mx-smi": "MetaX", "/dev/accel/accel0": "an accelerator",
    "pci 0x1002": "AMD", "pci 0x19e5": "Huawei Ascend", "pci 0x1da3": "Intel Gaudi",
    "pci 0xcabc": "Cambricon", "pci 0x1ed5": "Moore Threads", "pci 0x1e3e": "Iluvatar", "pci 0x1d94": "Hygon",
    "pci 0x9999": "MetaX",  # vendors as pci.ids has them, of classes that no display and no processor's own unit has
}  # fmt: skip


def gpu_facts(answers: Answers) -> GpuFacts:
    module = MODULE.search(_text(answers, "driver"))
    driver = module[1] if module is not None else None
    said = _text(answers, "vendors")
    others = _vendors(line for line in _lines(said) if line.startswith(HARDWARE))
    if "gpus" not in answers:
        return GpuFacts(driver=driver, problem=_elsewhere(said), others=others)
    return replace(_nvidia(answers, driver), others=others)


def _nvidia(answers: Answers, driver: str | None) -> GpuFacts:
    from deployer.formats.nvidia_mig import parse_slices
    from deployer.formats.nvidia_smi import failure, parse_compute_apps, parse_cuda_version, parse_gpus, with_rows
    from deployer.formats.nvidia_topology import parse_topology
    from deployer.formats.nvidia_xid import parse_xids

    gpus: dict[str, Gpu] = {}
    problems: list[str] = []
    for words, text in answers["gpus"]:
        code, fields = (*words, "", "")[:2]
        rows = parse_gpus(text, tuple(fields.split(",")))
        gpus |= {gpu.uuid: gpu for gpu in rows.gpus}
        driver = rows.driver or driver
        problems.append(failure(text, whole_number(code, 255) or 0) or "")
    nodes, health = nodes_of(_text(answers, "nodes")), _text(answers, "rows")
    seen = (with_rows(replace(gpu, numa=nodes.get(slot_of(gpu.bus_id))), health) for gpu in gpus.values())
    shown = tuple(sorted(seen, key=lambda g: (g.index, g.uuid)))
    slices = parse_slices(_text(answers, "slices"), _text(answers, "xml"), shown)
    return GpuFacts(
        driver=driver,
        cuda=parse_cuda_version(_text(answers, "header")),
        gpus=in_order((*shown, *slices)),
        processes=parse_compute_apps(_text(answers, "apps")),
        topology=parse_topology(_text(answers, "topology"), {gpu.index: gpu.uuid for gpu in shown}),
        problem="; ".join(dict.fromkeys(filter(None, problems))) or None,
        source="nvidia-smi",
        xids=parse_xids(_text(answers, "xids")),
    )


def nodes_of(text: str) -> dict[str, int]:
    """Slot -> node, of lines such as `0000:17:00.0 1`; below 0 where the host has but one."""
    pairs = (line.split() for line in lines(text, MOST_SLOTS))
    nodes = {pair[0].lower(): whole_number(pair[1], 1 << 16) for pair in pairs if len(pair) == 2}
    return {slot: node for slot, node in nodes.items() if node is not None}


def slot_of(bus_id: str | None) -> str:
    """As the kernel writes it, whose domains have four digits."""
    return (bus_id or "").lower()[-len("0000:00:00.0") :]


def with_containers(gpu: GpuFacts, containers: Mapping[int, Sequence[str]], known: frozenset[str]) -> GpuFacts:
    """Says of each process on a GPU which container it belongs to: one that Docker knows, else the innermost."""
    processes = []
    for process in gpu.processes:
        ids = containers.get(process.pid, ())
        owner = next((i for i in ids if i in known), ids[-1] if ids else None)
        processes.append(replace(process, container=owner or process.container))
    return replace(gpu, processes=tuple(processes))


def _text(answers: Answers, name: str) -> str:
    return answers[name][0][1] if answers.get(name) else ""


def _elsewhere(text: str) -> str | None:
    """What there is besides usable NVIDIA GPUs; None on a host without any GPU."""
    seen = _lines(text)
    if "/proc/driver/nvidia/version" in seen:
        return "the NVIDIA driver is loaded, but `nvidia-smi` is not installed"
    cards = seen.count("pci 0x10de")
    if cards:
        return f"NVIDIA GPUs on the PCI bus: {cards}, but no driver (`nvidia-smi` is not installed)"
    vendors = _vendors(seen)
    return f"{', '.join(vendors)}: seen, but only NVIDIA GPUs are supported" if vendors else None


def _lines(text: str) -> list[str]:
    return [one_line(line) for line in lines(text, 100)]


def _vendors(seen: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({VENDORS[line] for line in seen if line in VENDORS}))
