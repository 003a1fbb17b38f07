"""GPUs a container asked for, however it asked."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.docker.gpu_claims import claimed_gpus
from deployer.values.gpu_facts import Gpu

A, B = "GPU-aaaaaaaa-0000", "GPU-bbbbbbbb-0000"
GPUS = (Gpu(0, A, "NVIDIA A40"), Gpu(1, B, "NVIDIA A40"))


def asked(*requests: dict[str, Any], **host_config: Any) -> dict[str, Any]:
    return {"HostConfig": {"DeviceRequests": list(requests), **host_config}}


@pytest.mark.parametrize(
    ("inspected", "gpus"),
    [
        (asked({"Driver": "", "DeviceIDs": ["1"], "Capabilities": [["gpu"]]}), (B,)),
        (asked({"Driver": "nvidia", "DeviceIDs": [B, A], "Capabilities": [["gpu"]]}), (B, A)),
        (asked({"DeviceIDs": ["GPU-bbbb"], "Capabilities": [["gpu"]]}), (B,)),
        (asked({"DeviceIDs": ["0:1"], "Capabilities": [["gpu"]]}), (A,)),
        (asked({"DeviceIDs": ["7"], "Capabilities": [["gpu"]]}), ("7",)),
        (asked({"DeviceIDs": ["MIG-1234"], "Capabilities": [["gpu"]]}), ("MIG-1234",)),
        (asked({"Count": -1, "Capabilities": [["gpu", "compute"]]}), ("all",)),
        (asked({"Count": 2, "Capabilities": [["gpu"]]}), (A, B)),
        (asked({"Count": 3, "Capabilities": [["gpu"]]}), (A, B, "2")),
        (asked({"Count": -1, "Capabilities": [["tpu"]]}), ()),
        (asked({"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=0", "amd.com/gpu=1"]}), (A,)),
        (asked({"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}), ("all",)),
        (asked(Devices=[{"PathOnHost": "/dev/nvidia1"}, {"PathOnHost": "/dev/nvidia-uvm"}]), (B,)),
        (asked({"DeviceIDs": [1, None], "Capabilities": "gpu"}), ()),
        ({"HostConfig": None}, ()),
        ({}, ()),
    ],
)
def test_device_requests(inspected: dict[str, Any], gpus: tuple[str, ...]) -> None:
    assert claimed_gpus(inspected, GPUS) == gpus


@pytest.mark.parametrize(
    ("value", "gpus"),
    [("all", ("all",)), ("0,1", (A, B)), (f"{B}", (B,)), ("none", ()), ("void", ()), ("", ()), ("\x1b[31m9", ("9",))],
)
def test_visible_devices_of_the_nvidia_runtime(value: str, gpus: tuple[str, ...]) -> None:
    env = ["TOKEN=x", "NVIDIA_VISIBLE_DEVICES=all", f"NVIDIA_VISIBLE_DEVICES={value}"]
    inspected = {"HostConfig": {"Runtime": "nvidia"}, "Config": {"Env": env}}
    assert claimed_gpus(inspected, GPUS) == gpus
    assert claimed_gpus(inspected | {"HostConfig": {"Runtime": "runc"}}, GPUS) == ()


def test_requests_win_over_the_environment() -> None:
    inspected = asked({"DeviceIDs": ["1"], "Capabilities": [["gpu"]]}, Runtime="nvidia")
    assert claimed_gpus(inspected | {"Config": {"Env": ["NVIDIA_VISIBLE_DEVICES=all"]}}, GPUS) == (B,)
