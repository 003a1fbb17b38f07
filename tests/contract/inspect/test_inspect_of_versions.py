"""Inspect answers of several Docker versions read as the same facts. Each data file says where it comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deployer.docker.inspect import (
    Surroundings,
    api_version,
    images_to_ask,
    listed_containers,
    parse_container,
    parse_docker,
    parse_image_labels,
    parse_images,
)
from deployer.docker.ownership import Identity
from deployer.values.codec import to_data
from deployer.values.facts import ObservedContainer
from deployer.values.gpu_facts import Gpu

DATA = Path(__file__).parent / "data"
GPUS = (
    Gpu(0, "GPU-02e18039-e0d3-dd1e-1e2a-fad8bff27cdf", "NVIDIA H100 80GB HBM3"),
    Gpu(1, "GPU-503f2ca5-f203-04ba-331e-aa84f8da3faa", "NVIDIA H100 80GB HBM3"),
)
LAB = Identity("lab")


def recorded(version: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((DATA / f"docker-{version}.json").read_text())
    return data


def observed(version: str, name: str, identity: Identity = LAB) -> ObservedContainer:
    data = recorded(version)
    around = Surroundings(identity, parse_image_labels(data["images"]), GPUS)
    return parse_container(data["containers"][name], around)


def test_published_ports_of_a_running_container() -> None:
    found = observed("20.10", "ports")
    assert found.ports == (
        ("0.0.0.0", 18002, "udp"), ("0.0.0.0", 32768, "tcp"), ("127.0.0.1", 18001, "tcp"), ("::", 18002, "udp"),
        ("::", 32768, "tcp"),
    )  # fmt: skip
    assert (found.status, found.restart_policy, found.network) == ("running", "always", "bridge")
    assert found.started_at.startswith("2026-11-22T01:33:31")
    assert found.finished_at == ""


@pytest.mark.parametrize(
    ("name", "gpus"),
    [
        ("gpus", (GPUS[0].uuid, GPUS[1].uuid)),
        ("all", ("all",)),
        ("count", (GPUS[0].uuid,)),
        ("runtime", (GPUS[1].uuid,)),
        ("host", ()),
    ],
)
def test_gpus_as_asked_for(name: str, gpus: tuple[str, ...]) -> None:
    assert observed("20.10", name).gpus == gpus


def test_states() -> None:
    assert (observed("20.10", "exited").status, observed("20.10", "exited").exit_code) == ("exited", 3)
    assert observed("20.10", "created").status == "created"
    assert observed("20.10", "health").health == "healthy"
    assert observed("20.10", "host").network == "host"


def test_nothing_of_an_environment_is_kept() -> None:
    for version in ("20.10", "24-as-documented", "28-as-documented", "29-as-documented"):
        for name in recorded(version)["containers"]:
            text = json.dumps(to_data(observed(version, name), defaults=True))
            assert "hunter2" not in text
            assert "hf_" not in text
            assert "NVIDIA_" not in text


def test_labels_of_the_image_make_no_container_ours() -> None:
    found = observed("20.10", "labelled")
    assert (found.labelled_project, found.labelled_id, found.recorded) == (None, None, None)
    data = recorded("20.10")
    named_so = data["containers"]["labelled"] | {"Name": "/lab_chat_0_000000000000"}
    around = Surroundings(LAB, parse_image_labels(data["images"]), GPUS)
    assert parse_container(named_so, around).recorded is None
    nothing_known = Surroundings(LAB, {}, GPUS)
    assert parse_container(named_so, nothing_known).recorded is None


def test_docker_24_behind_compose() -> None:
    found = observed("24-as-documented", "old-vllm")
    assert found.network == "app_default"
    assert found.gpus == (GPUS[0].uuid, GPUS[1].uuid)
    assert found.ports == (("0.0.0.0", 8000, "tcp"), ("::", 8000, "tcp"))
    assert (found.image, found.restarts, found.restart_policy) == ("vllm/vllm-openai:v0.6.3", 2, "unless-stopped")


def test_docker_28_with_cdi_and_the_containerd_store() -> None:
    found = observed("28-as-documented", "chat")
    assert (found.gpus, found.health) == ((GPUS[1].uuid,), "starting")
    assert found.ports == (("127.0.0.1", 20000, "tcp"),)
    assert found.labelled_project == "lab"
    assert found.recorded is None, "a project label alone names no replica"


def test_docker_29_without_labels_and_legacy_networks() -> None:
    found = observed("29-as-documented", "tei")
    assert (found.network, found.gpus, found.ports) == ("host", (GPUS[0].uuid,), ())
    assert (found.status, found.exit_code, found.oom_killed) == ("exited", 137, True)
    assert (found.finished_at, found.restart_policy) == ("2025-11-20T08:00:00Z", "on-failure")


@pytest.mark.parametrize(
    ("version", "docker", "api", "root", "rootless", "runtime"),
    [
        ("20.10", "20.10.24+dfsg1", (1, 41), "/var/lib/docker", False, "runc"),
        ("24-as-documented", "24.0.7", (1, 43), "/data/docker", False, "nvidia"),
        ("28-as-documented", "28.0.1", (1, 48), "/var/lib/docker", True, "runc"),
        ("29-as-documented", "29.0.0", (1, 52), "/var/lib/docker", False, "runc"),
    ],
)
def test_the_daemon(version: str, docker: str, api: tuple[int, int], root: str, rootless: bool, runtime: str) -> None:
    data = recorded(version)
    facts = parse_docker(data["version"], data["info"])
    assert (facts.version, api_version(data["version"])) == (docker, api)
    assert (facts.root_dir, facts.rootless, facts.default_runtime) == (root, rootless, runtime)
    assert "runc" in facts.runtimes


def test_lists() -> None:
    data = recorded("20.10")
    assert {entry["Id"] for entry in listed_containers(data["listed"])} == {
        c["Id"] for c in data["containers"].values()
    }
    tags = {tag for image in parse_images(data["images"]) for tag in image.tags}
    assert "busybox:1" in tags
    assert parse_images(recorded("29-as-documented")["images"])[0].tags == ()


def test_images_that_no_list_shows_are_asked_for_ours_alone() -> None:
    data = recorded("20.10")
    labelled = data["containers"]["labelled"]["Image"]
    assert images_to_ask(data["listed"], parse_image_labels(data["images"]), LAB) == ()
    assert images_to_ask(data["listed"], {}, LAB) == (labelled,)
    assert images_to_ask(data["listed"], {}, Identity("other")) == ()
