"""What is told of a container that failed, beside its log: the GPUs that it was given, and whose backend it is."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from deployer.engine.context import ApplyContext, Site
from deployer.engine.failed_container import ended
from deployer.engine.ownership import look
from deployer.engine.secret_sources import SourceReader
from deployer.engine.secrets import SecretStore
from deployer.engine.watch import Watch
from deployer.errors import Diagnostic
from deployer.values.gpu_facts import Gpu
from deployer.values.names import ReplicaKey, container_name
from tests.contract.operations.bench import labels_for
from tests.support.fakeengine import FakeImage
from tests.support.fakehost import FakeHost

GIB = 1 << 30
CARDS = (Gpu(0, "GPU-a", "NVIDIA A40", 48 * GIB, 10 * GIB), Gpu(1, "GPU-b", "NVIDIA A40", 48 * GIB))
OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.96 GiB."


@pytest.fixture
def host() -> Iterator[FakeHost]:
    made = FakeHost(gpus=("GPU-a", "GPU-b"))
    made.engine_state.images["stub:1"] = FakeImage("sha256:" + "1" * 64)
    yield made
    made.close()


def told(host: FakeHost, said: str, decisions: Mapping[str, str], built_in: Mapping[str, str]) -> Diagnostic:
    """Of a container with one GPU that says this and exits."""
    key = ReplicaKey("chat", 0)
    name, labels = container_name("suite", key, "0" * 12), labels_for(key, "0" * 12)
    gpus = [{"Driver": "", "Count": 0, "DeviceIDs": ["GPU-a"], "Capabilities": [["gpu"]]}]
    host.engine_state.create(
        name,
        {
            "Image": "stub:1",
            "Env": ["MODE=exit", f"LAST_WORDS={said}"],
            "Labels": {**labels, "deployer.decisions": json.dumps(decisions), "deployer.apply": "a1"},
            "HostConfig": {"DeviceRequests": gpus},
        },
    )
    host.engine_state.start(name)
    secrets = SecretStore({}, SourceReader(Path(), {}), {})
    context = ApplyContext("suite", "7f3a", "", secrets, gpus={"here": CARDS}, built_in=built_in)
    site = Site(context, host, Watch("s", "here", "wait"))
    deadline = time.monotonic() + 10
    while (container := look(site, name)) is not None and container.status != "exited":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert container is not None
    return ended(site, container, "container-exited", "before it was ready")


def test_where_gpus_are_too_small_it_is_said_what_they_are(host: FakeHost) -> None:
    found = told(host, OOM, {"backend": "vllm"}, {})
    assert found.message.endswith("the GPU's memory is full")
    assert found.evidence[:2] == (OOM, "GPU 0: NVIDIA A40 with 48.0 GiB, 10.0 GiB of it in use before")


def test_where_it_is_about_something_else_gpus_are_not_mentioned(host: FakeHost) -> None:
    found = told(host, "Error: `config.json` not found", {"backend": "tei"}, {})
    assert found.message.endswith("the folder holds no `config.json`")
    assert not any("GPU" in line for line in found.evidence)


@pytest.mark.parametrize(
    ("backend", "built_in", "is_known"),
    [("tei", {}, True), ("mine", {"mine": "tei"}, True), ("llama.cpp", {}, False), ("gone", {}, True)],
)
def test_only_what_its_own_backend_would_say_counts(
    host: FakeHost, backend: str, built_in: dict[str, str], is_known: bool
) -> None:
    found = told(host, "Error: `config.json` not found", {"backend": backend}, built_in)
    assert found.message.endswith("the folder holds no `config.json`") is is_known
