"""nvidia-smi of old, new, partial and broken drivers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.formats.nvidia_smi import (
    QUERIES,
    failure,
    parse_compute_apps,
    parse_cuda_version,
    parse_gpus,
)
from deployer.formats.nvidia_topology import parse_topology
from deployer.formats.nvidia_xid import parse_xids
from deployer.values.gpu_facts import Xid

DATA = Path(__file__).parent / "data"
MIB = 1 << 20
UUIDS = {index: f"GPU-{index}" for index in range(8)}


def text(name: str) -> str:
    return (DATA / name).read_text()


def test_two_gpus() -> None:
    rows = parse_gpus(text("r550-h100x2.csv"), QUERIES[2])
    assert rows.driver == "550.90.07"
    first, second = rows.gpus
    assert (first.index, first.name, first.compute_capability) == (0, "NVIDIA H100 80GB HBM3", "9.0")
    assert (second.memory_total, second.memory_used, second.memory_reserved) == (81559 * MIB, 72011 * MIB, 551 * MIB)
    assert (second.bus_id, second.mig_mode, second.problem) == ("00000000:2A:00.0", False, None)


def test_an_old_driver_says_less() -> None:
    (gpu,) = parse_gpus(text("r470-t4.csv"), QUERIES[3]).gpus
    assert (gpu.name, gpu.memory_total, gpu.memory_reserved) == ("Tesla T4", 15109 * MIB, None)
    assert (gpu.compute_capability, gpu.mig_mode) == (None, None)


def test_gpus_that_need_a_reset_say_so() -> None:
    problems = [gpu.problem for gpu in parse_gpus(text("r570-b200-reset.csv"), QUERIES[0]).gpus]
    assert problems == [None, "the driver asks for: Drain and Reset", "GPU requires reset", "ERR!"]


def test_errors_of_memory() -> None:
    first, second = parse_gpus(text("r535-a40-ecc.csv"), QUERIES[1]).gpus
    assert (first.ecc_errors, first.pages_pending, first.name) == (3, True, "NVIDIA A40")
    assert (second.ecc_errors, second.pages_pending) == (0, False)
    assert [gpu.ecc_errors for gpu in parse_gpus(text("r570-b200-reset.csv"), QUERIES[0]).gpus] == [0, 12, None, None]


def test_errors_in_the_kernels_log() -> None:
    assert parse_xids(text("dmesg-xid.txt")) == (
        Xid("0000:17:00", 31, 1), Xid("0000:17:00", 79, 2), Xid("0000:ca:00", 48, 1), Xid("0001:3b:00", 63, 1),
    )  # fmt: skip
    assert parse_xids("NVRM: Xid (PCI:0000:17:00): " * 100_000) == ()


def test_memory_that_is_not_the_gpus_own_is_unknown() -> None:
    (gpu,) = parse_gpus(text("gb10.csv"), QUERIES[0]).gpus
    assert (gpu.memory_total, gpu.memory_used, gpu.problem) == (None, None, None)
    assert gpu.compute_capability == "12.1"


def test_mig_mode() -> None:
    assert parse_gpus(text("a100-mig.csv"), QUERIES[2]).gpus[0].mig_mode is True


def test_a_warning_before_the_rows_is_no_row_and_no_failure() -> None:
    said = text("inforom.csv")
    assert [gpu.name for gpu in parse_gpus(said, QUERIES[2]).gpus] == ["NVIDIA A40"]
    assert failure(said, 14) is None


def test_names_may_hold_commas_and_a_uuid_counts_once() -> None:
    row = "0, GPU-1, 550.1, 00000000:01:00.0, 1024, 1, Quadro, the old, one\n"
    (gpu,) = parse_gpus(row + row, QUERIES[4]).gpus
    assert gpu.name == "Quadro, the old, one"


def test_processes() -> None:
    processes = parse_compute_apps(text("apps.csv"))
    assert [(p.pid, p.memory_used, p.name) for p in processes] == [
        (400, None, "ray::RayWorker, tp=2, pp=1"),
        (31337, 71996 * MIB, "/usr/bin/python3"),
    ]


@pytest.mark.parametrize(
    ("name", "version"), [("header-r550.txt", "12.4"), ("header-r610.txt", "13.3"), ("failures.txt", None)]
)
def test_the_cuda_version_of_the_header(name: str, version: str | None) -> None:
    assert parse_cuda_version(text(name)) == version


@pytest.mark.parametrize("line", (DATA / "failures.txt").read_text().splitlines())
def test_failures_are_told_in_nvidia_smis_words(line: str) -> None:
    code, _, said = line.partition("\t")
    assert failure(said, int(code)) == said
    assert parse_gpus(said, QUERIES[0]).gpus == ()


def test_the_versions_of_a_mismatch_are_told() -> None:
    said = "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.95\n"
    assert (
        failure(said, 18) == "Failed to initialize NVML: Driver/library version mismatch NVML library version: 580.95"
    )


@pytest.mark.parametrize(("said", "code"), [("", 124), ("", 137)])
def test_a_hang_is_a_failure(said: str, code: int) -> None:
    assert failure(said, code) == "nvidia-smi did not answer in time"


def test_success_is_no_failure() -> None:
    assert failure(text("r550-h100x2.csv"), 0) is None
    assert failure("", 3) == "nvidia-smi exited with 3"


def test_topology_of_a_dgx() -> None:
    found = parse_topology(text("topo-dgx-h100.txt"), UUIDS)
    assert len(found) == 8
    assert all(links == {uuid: "NV18" for uuid in UUIDS.values() if uuid != own} for own, links in found.items())


@pytest.mark.parametrize(
    ("name", "pair", "link"),
    [
        ("topo-a100-pair.txt", (0, 1), "NV12"),
        ("topo-underlined.txt", (0, 1), "PIX"),
        ("topo-underlined.txt", (1, 2), "PXB"),
        ("topo-underlined.txt", (2, 3), "PHB"),
        ("topo-underlined.txt", (2, 0), "NODE"),
        ("topo-underlined.txt", (3, 0), "SYS"),
    ],
)
def test_links(name: str, pair: tuple[int, int], link: str) -> None:
    found = parse_topology(text(name), UUIDS)
    assert found[f"GPU-{pair[0]}"][f"GPU-{pair[1]}"] == link
    assert found[f"GPU-{pair[1]}"][f"GPU-{pair[0]}"] == link


def test_gpus_that_are_not_known_are_not_in_the_topology() -> None:
    assert parse_topology(text("topo-a100-pair.txt"), {0: "GPU-0"}) == {}


cells = st.sampled_from(
    ["0", "1", "GPU-1", "GPU-2", "550.1", "[N/A]", "ERR!", "9.0", "81559", "-1", "9" * 30, "None", "Enabled", "\x1b[4m",
     "GPU0", "GPU1", " X ", "NV18", "SYS", "", "\t", "²", "1e308", "00000000:18:00.0"]
) | st.text(max_size=10)  # fmt: skip
garbage = st.lists(st.lists(cells, max_size=14).map(", ".join) | st.lists(cells, max_size=8).map("\t".join)).map(
    "\n".join
)


@given(garbage, st.integers(-1, 300))
def test_garbage_is_read_without_an_exception_and_believed_in_bounds(said: str, code: int) -> None:
    for fields in QUERIES:
        for gpu in parse_gpus(said, fields).gpus:
            assert 0 <= gpu.index <= 4096
            assert gpu.memory_total is None or 0 <= gpu.memory_total <= MIB << 30
            assert gpu.name.isprintable()
    parse_compute_apps(said)
    parse_topology(said, UUIDS)
    parse_xids(said)
    parse_cuda_version(said)
    failure(said, code)


def test_a_flood_is_cut() -> None:
    row = "{0}, GPU-{0}, 550.1, 00000000:01:00.0, 1024, 1, x\n"
    flood = "".join(row.format(n) for n in range(4000))
    assert len(parse_gpus(flood, QUERIES[4]).gpus) == 256
    assert len(parse_compute_apps("GPU-1, 1, 1, x\n" * 100_000)) == 4096
    assert len(failure("No devices were found" + "!" * 1_000_000, 6) or "") <= 300
