"""MIG slices of new and old drivers, with and without their memory in XML."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from deployer.formats.nvidia_mig import parse_slices
from deployer.formats.nvidia_smi import QUERIES, parse_compute_apps, parse_gpus
from deployer.values.gpu_facts import Gpu

DATA = Path(__file__).parent / "data"
MIB = 1 << 20
WHOLE = "GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77"


def text(name: str) -> str:
    return (DATA / name).read_text()


def test_each_slice_has_a_uuid_memory_and_what_its_gpu_has() -> None:
    gpus = parse_gpus(text("a100-mig.csv"), QUERIES[2]).gpus
    first, second, third = parse_slices(text("a100-mig-list.txt"), text("a100-mig.xml"), gpus)
    assert (first.uuid, first.parent) == ("MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", WHOLE)
    assert (first.label, first.name) == ("0:0", "NVIDIA A100-SXM4-80GB MIG 3g.40gb")
    assert (first.memory_total, first.memory_used, first.compute_capability) == (40192 * MIB, 37 * MIB, "8.0")
    assert (second.label, second.memory_total, second.memory_used) == ("0:1", 9728 * MIB, 12 * MIB)
    assert (third.label, third.memory_total, third.memory_used) == ("0:2", 9728 * MIB, None), "by its profile"


def test_slices_of_drivers_before_r470() -> None:
    whole = Gpu(0, "GPU-d8de4d92-9bb6-8c0d-7be2-0d2d3b2a3c44", "A100-SXM4-40GB", mig_mode=True)
    found = parse_slices(text("a100-mig-r450-list.txt"), "", [whole])
    assert [part.uuid.rpartition("44/")[2] for part in found] == ["7/0", "8/0"]
    assert all(part.memory_total == 4864 * MIB for part in found)


def test_only_gpus_in_mig_mode_that_are_known_have_slices() -> None:
    listing = text("a100-mig-list.txt")
    assert parse_slices(listing, "", [Gpu(0, WHOLE, "A100", mig_mode=False)]) == ()
    assert parse_slices(listing, "", [Gpu(0, "GPU-1", "A100", mig_mode=True)]) == ()


def test_a_broken_gpu_has_broken_slices() -> None:
    gpu = Gpu(0, WHOLE, "A100", mig_mode=True, problem="GPU is lost")
    assert {part.problem for part in parse_slices(text("a100-mig-list.txt"), "", [gpu])} == {"GPU is lost"}


def test_processes_on_slices_are_known() -> None:
    (process,) = parse_compute_apps("MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f, 7, 100, python\n")
    assert process.gpu.startswith("MIG-")


pieces = st.lists(
    st.sampled_from(
        ["<gpu id=", "</gpu>", "<mig_device>", "</mig_device>", "<index>", "0", "</index>", "<uuid>", "</uuid>", WHOLE,
         "<fb_memory_usage>", "</fb_memory_usage>", "<total>", "9" * 30, " MiB</total>", "&x;", "<!ENTITY", "\n"]
    )
    | st.text(max_size=5),
    max_size=60,
).map("".join)  # fmt: skip


@given(pieces, pieces)
def test_whatever_is_said_nothing_fails(listing: str, xml: str) -> None:
    gpus = [Gpu(0, WHOLE, "A100", mig_mode=True)]
    for part in parse_slices(text("a100-mig-list.txt") + listing, xml, gpus):
        assert part.memory_total is None or 0 <= part.memory_total <= 1 << 50


def test_a_text_made_to_take_long_does_not() -> None:
    assert parse_slices("", "<gpu id=" * 400_000, []) == ()
    assert parse_slices("", "<gpu id=<uuid>" + WHOLE + "</uuid>" + "<mig_device>" * 300_000 + "</gpu>", []) == ()
