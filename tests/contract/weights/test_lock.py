"""deploy.lock: what it holds, that it is kept to, and that only `--upgrade` moves it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deployer.cli.app import run
from tests.support.hub import Hub, sha256

BIG = b"weights" * 1000


@pytest.fixture(autouse=True)
def spec(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    text = f"""
version: 1
project: locks
hosts: {{here: {{connection: local}}}}
hubs: {{hf: {{endpoint: '{hub.url}'}}}}
models: {{m: {{source: hf://org/name}}}}
services: {{chat: {{model: m, backend: llama.cpp, image: "127.0.0.1:9/stub:1", placement: {{gpus: none}}}}}}
"""
    (tmp_path / "deploy.yaml").write_text(text)
    hub.repo("org/name", {"config.json": b"{}", "m.gguf": BIG})
    return tmp_path


def locked(folder: Path) -> Any:
    return json.loads((folder / "deploy.lock").read_text())["models"]["m"]["listing"]


def test_every_file_has_its_hash_also_where_the_hub_has_none(spec: Path, hub: Hub) -> None:
    assert run(["lock"]) == 0
    found = locked(spec)
    assert found["commit"] == hub.repos["org/name"].refs["main"]
    assert {f["path"]: (f["size"], f["sha256"]) for f in found["files"]} == {
        "config.json": (2, sha256(b"{}")),
        "m.gguf": (7000, sha256(BIG)),
    }
    assert hub.url not in (spec / "deploy.lock").read_text()


def test_only_an_upgrade_moves_it(spec: Path, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    run(["lock"])
    first = locked(spec)["commit"]
    second = hub.repos["org/name"].push({"config.json": b"{}", "m.gguf": BIG[::-1], "x.py": b""})
    assert run(["lock"]) == 0
    assert locked(spec)["commit"] == first
    capsys.readouterr()
    assert run(["lock", "--upgrade", "m"]) == 0
    assert locked(spec)["commit"] == second
    shown = capsys.readouterr().out
    assert f"moved from {first[:12]} to {second[:12]}" in shown
    assert "+ x.py" in shown
    assert "~ m.gguf" in shown
    assert "config.json" not in shown
    assert run(["lock", "--upgrade", "other"]) == 1


def test_a_render_needs_no_hub(spec: Path, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render"]) == 0
    assert "/snapshots/main/" in capsys.readouterr().out
    run(["lock"])
    asked = len(hub.requests)
    capsys.readouterr()
    assert run(["render"]) == 0
    assert f"/snapshots/{locked(spec)['commit']}/m.gguf" in capsys.readouterr().out
    assert len(hub.requests) == asked


def test_what_is_not_locked_is_refused_where_that_is_asked(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--locked"]) == 3
    assert "does not hold `m`" in capsys.readouterr().err
    run(["lock"])
    text = (spec / "deploy.yaml").read_text()
    (spec / "deploy.yaml").write_text(text.replace("hf://org/name", "hf://org/other"))
    assert run(["plan", "--locked"]) == 3


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 2}', '{"format": 1, "models": {"m": 3}}', "{" * 9000])
def test_a_damaged_lock_is_no_lock(spec: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (spec / "deploy.lock").write_text(text)
    assert run(["render"]) == 1
    assert "error[bad-lock]" in capsys.readouterr().err


def test_a_file_that_is_not_what_the_hub_says_is_not_locked(
    spec: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.faults.flip.add("config.json")
    assert run(["lock"]) == 1
    assert "error[wrong-hash]" in capsys.readouterr().err
    assert not (spec / "deploy.lock").exists()
