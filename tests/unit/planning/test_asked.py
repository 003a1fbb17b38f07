"""By which names a replica is asked, and which its list must hold."""

from __future__ import annotations

from typing import Any

import pytest

from deployer import backends
from deployer.planning.readiness import Asked
from deployer.planning.server_api import api_of
from deployer.values.operations import Endpoint, Probe
from tests.support.rendering import model_facts, project_of

IMAGES = {
    "trtllm-old": "nvcr.io/nvidia/tensorrt-llm/release:1.2.1",
    "trtllm-new": "nvcr.io/nvidia/tensorrt-llm/release:1.3.0rc15",
}


def asked(backend: str, service: dict[str, Any], image: str = "mine:1") -> Probe:
    found = backends.find(backend)
    assert found is not None
    written = project_of(service).spec.services["chat"]
    model = model_facts("/srv/models/Llama-3.2-1B")
    return Asked(written, found, "llm", image, model).probe("c", Endpoint("127.0.0.1", 1))


@pytest.mark.parametrize(
    ("backend", "service", "image", "names"),
    [
        ("vllm", {}, "mine:1", ("tiny",)),
        ("vllm", {"served_name": ["a", "b"]}, "mine:1", ("a", "b")),
        ("tgi", {"served_name": "a"}, "mine:1", ("/models/Llama-3.2-1B",)),
        ("trtllm", {"served_name": "a"}, IMAGES["trtllm-old"], ("Llama-3.2-1B",)),
        ("trtllm", {"served_name": "a"}, IMAGES["trtllm-new"], ("a",)),
        ("openllm", {}, "mine:1", ()),
        ("openllm", {"served_name": "a"}, "mine:1", ("a",)),
        ("container", {}, "mine:1", ()),
    ],
)
def test_the_names_that_a_server_must_list(
    backend: str, service: dict[str, Any], image: str, names: tuple[str, ...]
) -> None:
    assert asked(backend, service, image).models == names


def test_the_spec_says_where_a_server_is_asked() -> None:
    api = {"health": "/up", "models": "none", "chat": "/api/chat", "rerank": "none"}
    assert asked("vllm", {"api": api}).paths == {
        "chat": "/api/chat",
        "completions": "/v1/completions",
        "embeddings": "/v1/embeddings",
    }
    service, backend = project_of({"api": api}).spec.services["chat"], backends.find("vllm")
    assert backend is not None
    assert api_of(service, backend).health == "/up"
    assert api_of(project_of({}).spec.services["chat"], backend) == backend.api


@pytest.mark.parametrize("api", [{"health": "none"}, {"chat": "v1/chat"}, {"chat": "/a b"}, {"chats": "/x"}])
def test_what_is_no_path(api: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        project_of({"api": api})


def test_a_server_without_a_list_is_not_asked_for_it() -> None:
    assert "models" not in asked("tei", {}).paths
    assert asked("tei", {}).models == ("tiny",)
