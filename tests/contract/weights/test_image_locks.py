"""deploy.lock and images: what it holds of them, that only `--upgrade` moves it, and what it is without a registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployer.cli.app import run
from deployer.values.facts import ImageFact, ObservedState
from deployer.values.image_content import ResolvedImage
from deployer.workflow.image_locks import seen_on_hosts
from tests.support.images import index_of, layer_tar, made_image, saved_tar
from tests.support.registryserver import RegistryServer, serving
from tests.support.world import World

FIRST = made_image(layer_tar("base", b"one"))
SECOND = made_image(layer_tar("base", b"two"))
ARM = made_image(layer_tar("base", b"arm"), machine="arm64")
SPEC = """
version: 1
project: locks
hosts: {{here: {{connection: local}}}}
models: {{m: {{source: "file:///srv/m.gguf"}}}}
services: {{chat: {{model: m, backend: llama.cpp, image: {image}, placement: {{gpus: none}}}}}}
"""


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with serving(RegistryServer()) as server:
        server.add_index("lab/stub:1", index_of(FIRST, ARM), FIRST, ARM)
        yield server


def write(folder: Path, image: str) -> None:
    (folder / "deploy.yaml").write_text(SPEC.format(image=image))


def locked(folder: Path, image: str) -> Any:
    return json.loads((folder / "deploy.lock").read_text())["images"][image]


def test_every_processor_has_its_digests_and_only_an_upgrade_moves_them(
    registry: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    image = f"{registry.address}/lab/stub:1"
    write(tmp_path, f'"{image}"')
    assert run(["lock"]) == 0
    found = locked(tmp_path, image)
    assert {
        name: (p["manifest"]["digest"], p["config"]["digest"], p["diff_ids"]) for name, p in found["platforms"].items()
    } == {
        "linux/amd64": (FIRST.digest, FIRST.id, list(FIRST.content.diff_ids)),
        "linux/arm64": (ARM.digest, ARM.id, list(ARM.content.diff_ids)),
    }
    registry.add("lab/stub:1", SECOND)
    asked = len(registry.seen)
    assert run(["lock"]) == 0
    assert locked(tmp_path, image) == found
    assert len(registry.seen) == asked
    capsys.readouterr()
    assert run(["lock", "--upgrade", image]) == 0
    assert locked(tmp_path, image)["digest"] == SECOND.digest
    assert f"moved from {found['digest'][:19]} to {SECOND.digest[:19]}" in capsys.readouterr().out
    assert run(["lock", "--upgrade", "reg.local/other:1"]) == 1
    capsys.readouterr()
    assert run(["lock", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["images"][image]
    assert (shown["digest"], shown["platforms"]["linux/amd64"]["config"]) == (SECOND.digest, SECOND.id)


def test_an_archive_is_locked_as_it_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stub.tar").write_bytes(saved_tar(FIRST, "reg.local/stub:1"))
    write(tmp_path, "{name: reg.local/stub:1, archive: stub.tar}")
    assert run(["lock"]) == 0
    found = locked(tmp_path, "reg.local/stub:1")
    assert (found["platforms"]["linux/amd64"]["config"]["digest"], found["archive"]) == (FIRST.id, "stub.tar")
    assert "stub.tar" in capsys.readouterr().out


@pytest.mark.parametrize("change", [{"reference": "reg.local/other:1"}, {"pinned": False}, {"digest": "sha256:x"}])
def test_a_damaged_entry_is_no_lock(
    registry: RegistryServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
) -> None:
    monkeypatch.chdir(tmp_path)
    image = f"{registry.address}/lab/stub:1"
    write(tmp_path, f'"{image}"')
    assert run(["lock"]) == 0
    text = json.loads((tmp_path / "deploy.lock").read_text())
    text["images"][image] |= change
    (tmp_path / "deploy.lock").write_text(json.dumps(text))
    assert run(["render"]) == 1
    assert "error[bad-lock]" in capsys.readouterr().err


def test_what_only_hosts_have_is_locked_as_they_show_it() -> None:
    name, id_ = "reg.local/stub:1", "sha256:" + "1" * 64
    here = ImageFact(id_, (name,), (f"reg.local/stub@sha256:{'2' * 64}",))
    world = World({"h1": 0, "h2": 0, "h3": 0})

    def seen(*images: ImageFact | None) -> ResolvedImage | None:
        hosts = {
            host: replace(world.facts(host, ()), images=(image,) if image is not None else ())
            for host, image in zip(world.gpus, images, strict=True)
        }
        return seen_on_hosts(name, ObservedState(hosts))

    found = seen(here, None, here)
    assert found is not None
    assert (found.digest, found.seen, found.pinned) == (f"sha256:{'2' * 64}", (id_,), True)
    assert id_ in found.ids
    assert seen(None, None, None) is None
    assert seen(here, ImageFact("sha256:" + "3" * 64, (name,)), None) is None
