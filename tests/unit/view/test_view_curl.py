"""Commands to copy: they say what the spec says, and no word of it is more than a word to the shell."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from deployer.spec.language import DeploySpec
from deployer.view.curl import Example, Running, example_of
from deployer.view.status import ReplicaStatus, ServiceStatus, Status
from deployer.view.status_text import examples_of, render_status

LOCAL, OPEN = "http://127.0.0.1:20000", "http://10.0.0.11:20000"


def spec(host: dict[str, Any] | None = None, **service: Any) -> DeploySpec:
    data: dict[str, Any] = {
        "version": 1,
        "project": "demo",
        "secrets": {"key": {"env": "DEMO_KEY"}},
        "hosts": {"gpu-a": host or {}},
        "models": {
            "tiny": {"source": "file:///m.gguf"},
            "bge": {"source": "file:///b.gguf", "category": "embedding"},
            "ranker": {"source": "file:///r.gguf", "category": "reranker"},
            "voice": {"source": "file:///v", "category": "text-to-speech"},
        },
        "backends": {"mine": {"extends": "llama.cpp"}},
        "services": {"chat": {"model": "tiny"} | service},
    }
    return DeploySpec.model_validate(data)


def ask(url: str = OPEN, backend: str = "llama.cpp", host: dict[str, Any] | None = None, **service: Any) -> Example:
    found = example_of(spec(host, **service), Running("chat", "gpu-a", url, backend))
    assert found is not None
    return found


def sent(example: Example) -> tuple[str, Any]:
    """Address and body, as the shell gives them to curl."""
    words = shlex.split(example.command)
    assert words[0] == "curl"
    return words[1], json.loads(words[words.index("-d") + 1])


@pytest.mark.parametrize(
    ("model", "path", "keys"),
    [
        ("tiny", "/v1/chat/completions", {"model", "messages"}),
        ("bge", "/v1/embeddings", {"model", "input"}),
        ("ranker", "/v1/rerank", {"model", "query", "documents"}),
    ],
)
def test_the_request_is_of_the_models_category(model: str, path: str, keys: set[str]) -> None:
    url, body = sent(ask(model=model))
    assert (url, set(body), body["model"]) == (OPEN + path, keys, model)


def test_what_is_ordered_is_called_as_the_server_calls_it() -> None:
    url, body = sent(ask(model="ranker", backend="tei"))
    assert (url, set(body)) == (OPEN + "/rerank", {"model", "query", "texts"})


def test_what_cannot_be_asked_has_no_example() -> None:
    assert example_of(spec(model="voice"), Running("chat", "gpu-a", OPEN, "llama.cpp")) is None
    assert example_of(spec(), Running("gone", "gpu-a", OPEN, "llama.cpp")) is None
    assert example_of(spec(), Running("chat", "gone", OPEN, "llama.cpp")) is None
    assert example_of(spec(), Running("chat", "gpu-a", OPEN, "unheard-of")) is None


def test_a_backend_of_the_spec_is_asked_like_the_one_it_extends() -> None:
    assert sent(ask(backend="mine"))[0] == OPEN + "/v1/chat/completions"


def test_a_key_is_named_and_never_there() -> None:
    example = ask(options={"api_key": [{"secret": "key"}]})
    assert '-H "Authorization: Bearer $API_KEY"' in example.command
    assert example.key == "key"
    assert "Authorization" not in ask().command


def test_a_loopback_address_of_another_host_needs_a_tunnel() -> None:
    host = {"address": "10.0.0.11", "user": "ops", "port": 2222, "key": "~/k", "jump": ["j1", "j2"]}
    assert ask(LOCAL, host=host).tunnel == ("ssh -N -L 20000:127.0.0.1:20000 -p 2222 -i '~/k' -J j1,j2 ops@10.0.0.11")
    assert ask(LOCAL).tunnel == "ssh -N -L 20000:127.0.0.1:20000 gpu-a"
    assert ask("http://[::1]:20000").tunnel == "ssh -N -L '20000:[::1]:20000' gpu-a"
    assert ask(OPEN).tunnel is None
    assert ask(LOCAL, host={"connection": "local"}).tunnel is None
    elsewhere = example_of(spec(), Running("chat", "gpu-a", LOCAL, "llama.cpp"), "my config")
    assert elsewhere is not None
    assert "-F 'my config'" in (elsewhere.tunnel or "")


@pytest.mark.parametrize("name", ["it's", "$(reboot)", "`id`", 'a"b', "a\\b", "a\nb", "模型"])
def test_no_name_is_more_than_a_word(name: str) -> None:
    example = ask(served_name=[name], options={"api_key": [{"secret": "key"}]})
    assert sent(example)[1]["model"] == name
    assert shlex.split(example.command).count("-H") == 2


def replica(index: int, health: str | None, url: str | None = OPEN) -> ReplicaStatus:
    return ReplicaStatus(index, "gpu-a", f"c{index}", "running", health, url=url, backend="llama.cpp")


def test_the_status_shows_how_to_ask_a_ready_replica() -> None:
    rows = (replica(0, "loading", "http://10.0.0.11:1"), replica(1, "ready", LOCAL))
    status = Status("demo", {"chat": ServiceStatus("tiny", "llama.cpp", 2, rows)})
    text = render_status(status, examples_of(spec(options={"api_key": [{"secret": "key"}]}), status)).render()
    assert f"  curl {LOCAL}/v1/chat/completions " in text
    assert "  ssh -N -L 20000:127.0.0.1:20000 gpu-a\n" in text
    assert "# ask it, with secret `key` in $API_KEY:" in text
    assert "curl" not in render_status(status).render()
    down = Status("demo", {"chat": ServiceStatus("tiny", "llama.cpp", 1, (replica(0, None, None),))})
    assert examples_of(spec(), down) == {}
