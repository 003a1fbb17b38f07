"""What `doctor --try-gpus` says of a container that was given GPUs, by what Docker and drivers say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deployer.formats.nvidia_smi import parse_listed_uuids
from deployer.planning.askable import askable_images
from deployer.planning.diagnose_gpus import gpu_container_check, image_to_try
from deployer.values.checks import Check, GpuTrial, Verdict
from deployer.values.facts import DockerFacts, HostFacts, ImageFact
from deployer.values.gpu_facts import Gpu, GpuFacts
from tests.support.planning import project_of
from tests.support.world import World

NO_DRIVER = 'could not select device driver "" with capabilities: [[gpu]]'


def host(gpus: int = 2, **changes: Any) -> HostFacts:
    cards = tuple(Gpu(index, f"GPU-{index}", "NVIDIA A40") for index in range(gpus))
    facts = World({"h1": 0}).observe(()).reachable["h1"]
    return replace(facts, gpu=GpuFacts(gpus=cards), uid=0, distribution=("ubuntu", "debian"), **changes)


def check(tried: GpuTrial, **changes: Any) -> Check:
    (found,) = gpu_container_check(host(**changes), tried)
    return found


def test_all_gpus_are_seen() -> None:
    found = check(GpuTrial("vllm:1", ("GPU-0", "GPU-1")))
    assert (found.verdict, found.message) == (Verdict.PASS, "a container of `vllm:1` sees 2 of 2 GPUs")
    assert check(GpuTrial("vllm:1", ("GPU-1",))).verdict is Verdict.WARN
    assert [*gpu_container_check(host(), None)] == []


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        (NO_DRIVER, "nvidia-container-toolkit"),
        ("failed to stat CDI host device /dev/nvidia3", "`nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`"),
        ("nvidia-container-cli: mount error: failed to add device rules: bpf_prog_query", "`no-cgroups = false`"),
        ("Failed to initialize NVML: Driver/library version mismatch", "reboot the host (`reboot`)"),
        ("something new", "`systemctl restart docker`"),
    ],
)
def test_what_helps_follows_from_what_was_said(said: str, remedy: str) -> None:
    found = check(GpuTrial("vllm:1", (), (said,)))
    assert found.verdict is Verdict.FAIL
    assert remedy in (found.remedy or "")
    assert found.evidence == (said,)


def test_a_rootless_docker_may_not_set_up_cgroups() -> None:
    found = check(GpuTrial("x", (), ("bpf_prog_query failed",)), docker=DockerFacts("28", "1.50", rootless=True))
    assert "`no-cgroups = true`" in (found.remedy or "")


def test_an_image_in_which_the_program_does_not_run_proves_nothing() -> None:
    said = 'exec: "nvidia-smi": no such file or directory'
    assert check(GpuTrial("alpine:3", (), (said,))).verdict is Verdict.WARN


def test_an_image_that_the_host_has_is_tried() -> None:
    project = project_of({"chat": {"backend": "vllm", "image": "mine/vllm:1"}}, {"h1": {}})
    images = askable_images(project, silent=True)["h1"]
    assert image_to_try(images, host()) is None
    there = host(images=(ImageFact("sha256:1", ("mine/vllm:1",)),))
    found = image_to_try(images, there)
    assert found is not None
    assert (found.image, found.service) == ("mine/vllm:1", "chat")


def test_the_uuids_of_a_list() -> None:
    text = "GPU 0: NVIDIA A40 (UUID: GPU-5f3c)\n  MIG 1g.5gb Device 0: (UUID: MIG-1)\nGPU 1: x (UUID: GPU-5f3c)\njunk"
    assert parse_listed_uuids(text) == ("GPU-5f3c",)
