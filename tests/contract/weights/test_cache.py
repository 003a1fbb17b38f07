"""`deployer cache` on a host in memory with a cache on this machine's disk: pulled, listed, repaired, tidied up."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployer.cli.app import run
from deployer.cli.planfile import read_plan
from deployer.values.transfers import FetchWeights
from tests.support.fakeengine import FakeContainer, FakeImage, new_id
from tests.support.fakehost import FakeHost
from tests.support.hub import Hub, sha256

BIG = b"weights" * 1000
IMAGE = "ghcr.io/ggml-org/llama.cpp:server"


@pytest.fixture
def host() -> Iterator[FakeHost]:
    made = FakeHost()
    made.engine_state.images[IMAGE] = FakeImage(f"sha256:{new_id()}")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def folder(hub: Hub, host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    hub.repo("org/name", {"a.gguf": BIG, "b.gguf": BIG[::-1], "c.gguf": BIG[1:]})
    write(tmp_path, hub, host, "a.gguf")
    return tmp_path


def write(folder: Path, hub: Hub, host: FakeHost, include: str) -> None:
    text = f"""
version: 1
project: caches
id: "1"
hosts: {{here: {{connection: local, cache_dir: '{folder}/cache', docker: {{socket: '{host.root}/docker.sock'}}}}}}
hubs: {{hf: {{endpoint: '{hub.url}'}}}}
models: {{m: {{source: hf://org/name, include: ['{include}']}}}}
services: {{chat: {{model: m, backend: llama.cpp, placement: {{gpus: none}}}}}}
"""
    (folder / "deploy.yaml").write_text(text)


def listed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert run(["cache", "ls", "--json"]) == 0
    models: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["hosts"]["here"]["models"]
    return models


def test_a_pull_fetches_and_starts_nothing(
    folder: Path, hub: Hub, host: FakeHost, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["cache", "pull"]) == 0
    assert hub.served == {"a.gguf": len(BIG)}
    assert host.engine_state.containers == {}
    (model,) = listed(capsys)
    assert (model["source"], model["state"], model["size"], model["users"]) == ("hf://org/name", "whole", len(BIG), [])
    assert run(["cache", "pull"]) == 0
    assert hub.served == {"a.gguf": len(BIG)}


def test_a_flipped_bit_is_found_and_repaired(folder: Path, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    run(["cache", "pull"])
    blob = folder / "cache/hub/models--org--name/blobs" / sha256(BIG)
    stamp = blob.stat()
    blob.write_bytes(BIG[:-1] + b"x")
    os.utime(blob, (stamp.st_atime, stamp.st_mtime))  # nothing but its content tells
    assert [model["state"] for model in listed(capsys)] == ["whole"]
    hub.served.clear()
    assert run(["cache", "verify", "--json"]) == 0
    (checked,) = json.loads(capsys.readouterr().out)["models"]
    assert (checked["ok"], checked["wrong"], checked["fetched"]) == (True, ["a.gguf"], len(BIG))
    assert blob.read_bytes() == BIG
    assert hub.served == {"a.gguf": len(BIG)}
    assert run(["cache", "verify"]) == 0
    assert "whole" in capsys.readouterr().out


def test_what_changed_and_cannot_be_repaired_is_a_failure(
    folder: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["cache", "pull"])
    (folder / "cache/hub/models--org--name/blobs" / sha256(BIG)).write_bytes(b"short")
    assert [(model["state"], model["missing"]) for model in listed(capsys)] == [("changed", len(BIG))]
    hub.repos.clear()
    assert run(["cache", "verify"]) == 1
    assert "error[fetch-denied]" in capsys.readouterr().err


def test_prune_keeps_what_is_used_or_needed(
    folder: Path, hub: Hub, host: FakeHost, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.gguf", "b.gguf", "c.gguf"):
        write(folder, hub, host, name)
        assert run(["cache", "pull"]) == 0
    first = next(m for m in listed(capsys) if m["files"][0]["path"] == "a.gguf")
    decisions = json.dumps({"cached": [{"manifest": first["id"]}]})
    container = FakeContainer(new_id(), "other-project", {"Labels": {"deployer.decisions": decisions}, "Image": "x"},
                              FakeImage("sha256:1"), status="exited")  # fmt: skip
    host.engine_state.containers[container.id] = container
    assert run(["cache", "prune", "-y", "--json"]) == 0
    (removed,) = json.loads(capsys.readouterr().out)["removed"]
    assert (removed["bytes"], removed["freed"], removed["commits"]) == (len(BIG), len(BIG), [])
    left = {model["files"][0]["path"]: model["users"] for model in listed(capsys)}
    assert left == {"a.gguf": ["other-project"], "c.gguf": []}
    blobs = {path.name for path in (folder / "cache/hub/models--org--name/blobs").iterdir()}
    assert blobs == {sha256(BIG), sha256(BIG[1:])}
    assert run(["cache", "prune", "-y"]) == 0
    assert "Nothing to remove" in capsys.readouterr().out


def test_prune_removes_a_model_and_all_of_its_folder(
    folder: Path, hub: Hub, host: FakeHost, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["cache", "pull"])
    hub.repo("org/other", {"o.gguf": BIG})
    text = (folder / "deploy.yaml").read_text()
    (folder / "deploy.yaml").write_text(text.replace("org/name", "org/other").replace("a.gguf", "o.gguf"))
    assert run(["cache", "prune", "--budget", "1g", "-y"]) == 0
    assert len(listed(capsys)) == 1, "all of it fits into the budget"
    assert run(["cache", "prune", "--budget", "1k", "-y"]) == 0
    assert listed(capsys) == []
    assert not (folder / "cache/hub/models--org--name/blobs").exists()


def test_manifests_that_lie_are_not_believed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["cache", "pull"])
    (manifest,) = (folder / "cache/manifests").iterdir()
    good = manifest.read_text()
    for bad in ("", "{}", good.replace("a.gguf", "../../../etc/x"), good.replace('"size": 7000', '"size": 1')):
        manifest.write_text(bad)
        capsys.readouterr()
        assert run(["cache", "ls"]) == 0
        assert "warning[bad-manifest]" in capsys.readouterr().err


def test_a_saved_plan_keeps_its_commit_and_asks_no_hub(folder: Path, hub: Hub) -> None:
    assert run(["plan", "-o", "plan.json"]) == 0
    first, asked = hub.repos["org/name"].refs["main"], len(hub.requests)
    hub.repos["org/name"].push({"a.gguf": BIG[::-1]})
    steps = read_plan("plan.json").plan.steps
    fetches = [step.operation for step in steps if isinstance(step.operation, FetchWeights)]
    assert [fetch.manifest.commit for fetch in fetches] == [first]
    assert len(hub.requests) == asked


def test_status_asks_no_hub(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["services"]["chat"]["desired"] == 1
    assert (hub.requests, said.err) == ([], "")
    assert run(["plan"]) == 0
    assert hub.requests, "a plan that has something to fetch does"


def test_a_locked_model_still_has_its_other_sources(folder: Path, hub: Hub) -> None:
    text = (folder / "deploy.yaml").read_text()
    hubs = f"hubs: {{hf: {{endpoint: '{hub.url}'}}, modelscope: {{endpoint: '{hub.url}'}}}}"
    text = text.replace(f"hubs: {{hf: {{endpoint: '{hub.url}'}}}}", hubs)
    (folder / "deploy.yaml").write_text(text.replace("hf://org/name", "[hf://org/name, modelscope://org/name]"))
    assert run(["lock"]) == 0
    assert run(["plan", "-o", "plan.json"]) == 0
    steps = read_plan("plan.json").plan.steps
    (fetch,) = [step.operation for step in steps if isinstance(step.operation, FetchWeights)]
    assert [place.hub for place in fetch.manifest.files[0].others] == ["modelscope"]
