"""What sources say of models: the real huggingface_hub and ModelScope's REST API, against a hub on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deployer.errors import DeployerError, OperationError
from deployer.spec.language import Model
from deployer.values.secrets import Secret
from deployer.values.weights import Listing
from deployer.weights.access import Access, endpoint_of
from deployer.weights.sources import list_source
from deployer.workflow.estimating import read_named
from tests.support.hub import Hub, git_id, sha256
from tests.support.models import CONFIGS
from tests.support.weightfiles import gguf_header

LARGE = b"weights" * 1000
LLAMA = {
    "general.architecture": "llama", "llama.block_count": 2, "llama.embedding_length": 64,
    "llama.attention.head_count": 4, "llama.attention.head_count_kv": 4, "llama.feed_forward_length": 128,
    "llama.context_length": 512,
}  # fmt: skip


def listed(hub: Hub, token: str | None = None, **settings: object) -> Listing:
    model = Model.model_validate({"source": "hf://org/name", **settings})
    access = Access(hub.url, Secret(token) if token else None, "hf_token" if token else None)
    return list_source(model, {"hf": access, "modelscope": access})


def refused(hub: Hub, token: str | None = None, **settings: object) -> OperationError:
    with pytest.raises(OperationError) as caught:
        listed(hub, token, **settings)
    return caught.value


def test_a_listing_has_the_commit_and_the_hash_of_each_file(hub: Hub) -> None:
    repo = hub.repo("org/name", {"config.json": b"{}", "sub/model.safetensors": LARGE})
    repo.config = {"architectures": ["LlamaForCausalLM"]}
    found = listed(hub)
    assert (found.commit, found.revision, found.pinned) == (repo.refs["main"], "main", False)
    assert found.architectures == ("LlamaForCausalLM",)
    small, large = found.files
    assert (small.path, small.size, small.sha256, small.git) == ("config.json", 2, None, git_id(b"{}"))
    assert (large.path, large.size, large.sha256, large.git) == ("sub/model.safetensors", 7000, sha256(LARGE), None)
    assert large.url == f"{hub.url}/org/name/resolve/{found.commit}/sub/model.safetensors"


def test_a_model_of_modelscope_is_estimated_by_what_its_files_say(hub: Hub) -> None:
    header = gguf_header(LLAMA, {"token_embd.weight": (0, (64, 300))})
    config = json.dumps(CONFIGS["Qwen2.5-7B"]).encode()
    hub.repo("org/name", {"config.json": config})
    hub.repo("org/gguf", {"a.gguf": header + bytes(64 * 300 * 4), "b.gguf": b"GGUF"})
    there = {"MODELSCOPE_ENDPOINT": hub.url}
    found = read_named("modelscope://org/name", there)
    assert (found.shape and found.shape.layers, found.weights and found.weights.parameters) == (28, 7_615_487_488)
    found = read_named("modelscope://org/gguf@master/a.gguf", there)
    assert (found.shape and found.shape.is_gguf, found.weights and found.weights.parameters) == (True, 64 * 300)
    for name in ("org/gguf", "org/gguf/b.gguf", "org/none", "org", "org/name@none", "../x"):
        with pytest.raises(DeployerError) as caught:
            read_named(f"modelscope://{name}", there)
        assert caught.value.diagnostics[0].hint, name


def test_what_a_model_is_made_of_is_read_off_its_config_or_its_header(hub: Hub, tmp_path: Path) -> None:
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 300, "max_position_embeddings": 512,
    }  # fmt: skip
    text = json.dumps(config).encode()
    hub.repo("org/name", {"config.json": text, "model.safetensors": LARGE}, token="hf_token")
    assert listed(hub).shape is None, "it is gated"
    shape = listed(hub, "hf_token").shape
    assert shape is not None
    assert (shape.layers, shape.hidden, shape.context) == (2, 64, 512)
    assert listed(hub, source="modelscope://org/name").shape == shape
    (tmp_path / "m").mkdir()
    (tmp_path / "m/config.json").write_bytes(text)
    local = Model.model_validate({"source": "local://m"})
    assert list_source(local, {}, tmp_path).shape == shape
    for bad in (b"<html>", b"[]", b'{"num_hidden_layers": 1e308}', b"{" * 9000):
        hub.repos["org/name"].push({"config.json": bad, "model.safetensors": LARGE})
        assert listed(hub, "hf_token").shape is None
    assert hub.served == {}


def test_revisions_are_branches_tags_and_commits(hub: Hub) -> None:
    repo = hub.repo("org/name", {"a.json": b"1"})
    first = repo.refs["main"]
    tagged = repo.push({"a.json": b"2"}, "refs/pr/1")
    assert listed(hub, revision="refs/pr/1").commit == tagged
    assert listed(hub).commit == first
    pinned = listed(hub, revision=tagged)
    assert (pinned.commit, pinned.pinned) == (tagged, True)
    assert refused(hub, revision="v9").diagnostic.code == "unknown-revision"


def test_a_model_that_is_not_there_is_said_to_be_missing_or_private(hub: Hub) -> None:
    error = refused(hub).diagnostic
    assert error.code == "unknown-model-source"
    assert error.message == f"`hf://org/name` is not at {hub.url}, or is private"


def test_a_hub_that_does_not_answer_is_named(hub: Hub) -> None:
    hub.close()
    error = refused(hub).diagnostic
    assert error.code == "hub-unreachable"
    assert hub.url in error.message


def test_the_token_goes_to_the_hub_and_into_no_message(hub: Hub) -> None:
    hub.repo("org/name", {"a.json": b"1"})
    listed(hub, "hf_verysecret")
    assert hub.tokens == [(hub.requests[-1].split()[1], "Bearer hf_verysecret")]
    error = refused(hub, "hf_verysecret", source="hf://org/other").diagnostic
    assert "verysecret" not in f"{error}"
    assert "secret `hf_token`" in (error.hint or "")


def test_no_token_that_lies_about_on_the_controller_is_sent(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_lyingabout")
    hub.repo("org/name", {"a.json": b"1"})
    listed(hub)
    assert hub.tokens == []


@pytest.mark.parametrize("source", ["hf://a/b/c", "hf://../x", "hf://a--b/c", "hf://-a/b", "modelscope://a"])
def test_names_that_no_hub_has_are_refused_unasked(hub: Hub, source: str) -> None:
    assert refused(hub, source=source).diagnostic.code == "bad-source"
    assert hub.requests == []


def test_modelscope_lists_files_with_their_hashes(hub: Hub) -> None:
    repo = hub.repo("org/name", {"config.json": b"{}", "a b.safetensors": LARGE})
    found = listed(hub, source="modelscope://org/name")
    assert [(f.path, f.size, f.sha256) for f in found.files] == [
        ("a b.safetensors", 7000, sha256(LARGE)),
        ("config.json", 2, sha256(b"{}")),
    ]
    assert found.files[0].url == f"{hub.url}/api/v1/models/org/name/repo?Revision=master&FilePath=a%20b.safetensors"
    repo.push({"config.json": b"{ }", "a b.safetensors": LARGE})
    assert listed(hub, source="modelscope://org/name").commit != found.commit
    error = refused(hub, source="modelscope://org/other").diagnostic
    assert error.code == "unknown-model-source"


def test_endpoints_come_from_the_spec_the_environment_or_are_the_hubs_own() -> None:
    assert endpoint_of("hf", None, {}) == "https://huggingface.co"
    assert endpoint_of("hf", None, {"HF_ENDPOINT": "https://mirror/"}) == "https://mirror"
    assert endpoint_of("hf", "http://spec:80", {"HF_ENDPOINT": "https://mirror"}) == "http://spec:80"
    for bad in ("mirror", "ftp://x", "https://user:word@x", "https://x y", "https://"):
        with pytest.raises(OperationError):
            endpoint_of("hf", bad, {})
