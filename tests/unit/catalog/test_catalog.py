"""What is known of GPUs, quantizations and drivers without asking a host."""

from __future__ import annotations

import pytest

from deployer.catalog.drivers import BRANCHES, cuda_of_tag, driver_for, newest_cuda, parse_cuda
from deployer.catalog.gpus import MIB, find_gpu, known_gpus, near_gpus, parse_capability
from deployer.catalog.quantizations import CACHE_BITS, QUANTIZATIONS


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("H100", "NVIDIA H100 80GB HBM3"), ("A100", "NVIDIA A100-SXM4-80GB"), ("a100 40gb", "NVIDIA A100-SXM4-40GB"),
        ("rtx 4090", "NVIDIA GeForce RTX 4090"), ("4090", "NVIDIA GeForce RTX 4090"), ("L4", "NVIDIA L4"),
        ("A40", "NVIDIA A40"), ("t4", "Tesla T4"), ("V100", "Tesla V100-SXM2-16GB"), ("h100_nvl", "NVIDIA H100 NVL"),
        ("NVIDIA H100 PCIe", "NVIDIA H100 PCIe"), ("GB10", "NVIDIA GB10"), ("MI300X", "AMD Instinct MI300X"),
    ],
)  # fmt: skip
def test_a_gpu_by_what_people_call_it(said: str, name: str) -> None:
    gpu = find_gpu(said)
    assert gpu is not None
    assert gpu.name == name


def test_what_is_no_gpu() -> None:
    assert [find_gpu(said) for said in ("", "nvidia", "H1000", "x" * 10_000)] == [None] * 4
    assert "NVIDIA H100 PCIe" in near_gpus("H100 SXM 80", 20)
    assert near_gpus("?") == ()


def test_every_gpu_is_found_by_its_own_name() -> None:
    for gpu in known_gpus():
        assert find_gpu(gpu.name) == gpu
        assert gpu.memory is None or gpu.memory >= 4000 * MIB
        assert (gpu.capability is None) == (gpu.vendor != "nvidia")


def test_facts_of_one() -> None:
    gpu = find_gpu("H100")
    assert gpu is not None
    assert (gpu.capability, gpu.memory, gpu.links, gpu.min_driver) == ((9, 0), 81559 * MIB, "NVLink4 900", 520)
    assert (parse_capability("12.0"), parse_capability("gfx942"), parse_capability(None)) == ((12, 0), None, None)


def test_bits_of_a_weight_and_of_a_cached_element() -> None:
    bits = {name: float(q.bits_per_weight()) for name, q in QUANTIZATIONS.items()}
    assert (bits["fp8"], bits["mxfp4"], bits["nvfp4"], bits["bitsandbytes"]) == (8, 4.25, 4.5, 4.5)
    assert bits["awq"] == pytest.approx(4.16, abs=0.01)
    assert float(QUANTIZATIONS["gptq"].bits_per_weight(32)) == pytest.approx(4.63, abs=0.01)
    assert (CACHE_BITS["q8_0"], CACHE_BITS["q4_0"], CACHE_BITS["fp8"], CACHE_BITS["f16"]) == (8.5, 4.5, 8, 16)


@pytest.mark.parametrize(
    ("driver", "cuda"),
    [("550.90.07", (12, 4)), ("535.54.03", (12, 2)), ("580.65.06", (13, 0)), ("999.1", (13, 4)), ("390.1", None),
     ("", None), (None, None), ("x.y", None)],
)  # fmt: skip
def test_the_newest_cuda_of_a_driver(driver: str | None, cuda: tuple[int, int] | None) -> None:
    assert newest_cuda(driver) == cuda


def test_the_driver_that_a_cuda_takes() -> None:
    assert (driver_for((12, 8)), driver_for((12, 1)), driver_for((99, 0))) == (570, 530, None)
    assert sorted(BRANCHES.values()) == [BRANCHES[branch] for branch in sorted(BRANCHES)]
    assert (parse_cuda("12.4"), parse_cuda("12"), parse_cuda(None)) == ((12, 4), None, None)


@pytest.mark.parametrize(
    ("tag", "cuda"),
    [
        ("v0.16.0-cu12.8", (12, 8)), ("v0.5.19-cu129", (12, 9)), ("v4.9.0-gpu-nvidia-cuda-12", (12, 0)),
        ("server-cuda13-b7000", (13, 0)), ("v0.33.0", None), ("server-cuda", None), ("cuda-1.9.3", None), ("", None),
    ],
)  # fmt: skip
def test_the_cuda_that_a_tag_names(tag: str, cuda: tuple[int, int] | None) -> None:
    assert cuda_of_tag(tag) == cuda
