"""What a bundle holds, in each of its forms, and what it leaves out."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from deployer.cli.app import run
from deployer.images.archive import open_archive
from deployer.values.facts import DockerFacts, HostFacts, ObservedState
from deployer.values.facts_json import facts_to_data
from tests.contract.bundles.conftest import BIG, FILES, IMAGE, Desk
from tests.support.hub import sha256

BLOBS = "blobs/sha256"


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_a_tar_and_its_parts_hold_the_same_bytes(desk: Desk) -> None:
    made = desk.create("folder")
    desk.create("whole.tar")
    desk.create("split.tar", "--split", "1m")
    held = files_of(desk.outside / "folder")
    assert {f"{BLOBS}/{sha256(data)}" for data in (*FILES.values(), *IMAGE.blobs.values())} < set(held)
    assert all(name.rpartition("/")[2] == sha256(data) for name, data in held.items() if name.startswith(BLOBS))
    with tarfile.open("whole.tar") as archive:
        assert archive.getnames()[:2] == ["bundle.json", "bundle.json.sig"]
        assert {m.name: archive.extractfile(m).read() for m in archive} == held  # type: ignore[union-attr]
    parts = [desk.outside / f"split.tar.part-{number}-of-3" for number in (1, 2, 3)]
    assert b"".join(part.read_bytes() for part in parts) == Path("whole.tar").read_bytes()
    assert all(part.stat().st_size < 1 << 20 for part in parts)
    assert made["size"] == sum(len(data) for name, data in held.items() if not name.startswith("bundle.json"))
    assert sorted(path.name for path in desk.outside.iterdir() if "making" in path.name or "new" in path.name) == []


def test_the_same_spec_gives_the_same_bytes(desk: Desk) -> None:
    desk.create("one.tar")
    desk.create("two.tar")
    assert Path("one.tar").read_bytes() == Path("two.tar").read_bytes()


@pytest.mark.parametrize("path", ["b", "b.tar", "s.tar"])
def test_it_is_inspected_without_being_used(desk: Desk, path: str) -> None:
    desk.create(path, *(["--split", "1m"] if path == "s.tar" else []))
    seen = desk.run("bundle", "inspect", path if path != "s.tar" else "s.tar.part-2-of-3", "--check")
    assert seen["signature"]["trust"] == "trusted"
    assert seen["signature"]["name"] == "ops"
    assert seen["checked"]
    assert [(m["source"], {f["path"]: f["sha256"] for f in m["files"]}) for m in seen["models"]] == [
        ("hf://org/name", {name: sha256(data) for name, data in FILES.items()})
    ]
    assert seen["texts"] == ["deploy.lock", "deploy.yaml"]
    assert seen["sequence"] == 20261122104000
    assert desk.stored() == []


def test_it_is_an_oci_layout_of_its_images(desk: Desk) -> None:
    name = f"{desk.registry.address}/lab/llama:1"
    (image,) = desk.create("b")["images"]
    assert (image["reference"], image["platforms"], image["here"]) == (name, ["linux/amd64"], True)
    found = open_archive(Path("b"), "b").image(name)
    assert found.platforms["linux/amd64"].config.digest == IMAGE.id
    assert found.digest == IMAGE.digest


def test_an_image_that_was_locked_is_taken_wherever_its_tag_is_now(desk: Desk) -> None:
    desk.registry.manifests.pop("lab/llama:1")
    (image,) = desk.create("b")["images"]
    assert image["digest"] == IMAGE.digest
    lock = json.loads(Path("deploy.lock").read_text())
    Path("deploy.lock").write_text(json.dumps({**lock, "images": {}}))
    assert desk.run("bundle", "create", "-o", "c", exit=1) == {"image-unresolved"}
    assert "lab/llama" in desk.said


def test_what_was_brought_is_not_fetched_again_after_a_death(desk: Desk) -> None:
    desk.hub.faults.drop_after, desk.hub.faults.drops, desk.hub.faults.dies_after_drop = 2_000_000, 1, True
    assert desk.run("bundle", "create", "-o", "b", exit=1) == {"hub-unreachable"}
    assert not (desk.outside / "b").exists()
    desk.hub.faults.is_dead = False
    desk.create("b")
    assert desk.hub.served["m.gguf"] <= len(BIG) + (1 << 20), "a piece, and no more"
    assert desk.run("bundle", "inspect", "b", "--check")["checked"]


def test_what_a_death_left_of_a_tar_is_taken_away(desk: Desk) -> None:
    left = [desk.outside / name for name in ("b[1].tar.new", "b[1].tar.part-7-of-9.new")]
    other = desk.outside / "b1.tar.new"
    for path in (*left, other):
        path.write_bytes(b"cut off")
    desk.create("b[1].tar", "--split", "1m")
    assert [path.name for path in desk.outside.glob("*.new")] == [other.name]


def test_a_number_that_no_bundle_may_have_is_refused_at_once(desk: Desk) -> None:
    assert run(["bundle", "create", "-o", "b", "--sequence", str(10**15)]) == 64
    assert not (desk.outside / "b.making").exists()


def test_a_hub_that_lies_is_not_believed(desk: Desk) -> None:
    desk.hub.faults.flip.add("m.gguf")
    assert desk.run("bundle", "create", "-o", "b", exit=1) == {"wrong-hash"}
    desk.hub.faults.flip.clear()
    desk.create("b")


def test_nothing_is_written_over_and_nothing_unlocked_is_taken(desk: Desk) -> None:
    (desk.outside / "b").mkdir()
    assert desk.run("bundle", "create", "-o", "b", exit=1) == {"bundle-exists"}
    (desk.outside / "deploy.lock").unlink()
    assert desk.run("bundle", "create", "-o", "c", exit=3) == {"not-locked"}
    assert desk.run("bundle", "create", "-o", "c", "--key", "no-such-key", exit=1) == {"no-signing-key"}


def test_a_delta_holds_what_the_old_one_lacks(desk: Desk) -> None:
    desk.create("old.tar", "--split", "1m")
    for part in (2, 3):
        (desk.outside / f"old.tar.part-{part}-of-3").rename(desk.home / str(part))  # only its index is read
    desk.hub.repos["org/name"].push({**FILES, "extra.json": b"[1]"})
    desk.run("lock", "--upgrade", "m")
    served = desk.hub.served.get("m.gguf", 0)
    made = desk.create("new", "--since", "old.tar")
    assert desk.hub.served.get("m.gguf", 0) == served
    here = {entry["sha256"] for entry in made["files"]}
    assert sha256(b"[1]") in here
    assert sha256(BIG) not in here
    kept = (*FILES.values(), *IMAGE.blobs.values())
    assert {entry["sha256"] for entry in made["needs"]} == {sha256(data) for data in kept}
    assert [image["here"] for image in made["images"]] == [False]
    for part in (2, 3):
        (desk.home / str(part)).rename(desk.outside / f"old.tar.part-{part}-of-3")
    old = desk.run("bundle", "inspect", "old.tar")
    assert made["parent"]["sequence"] == old["sequence"] < made["sequence"]
    shutil.copy("new/bundle.json", "index.json")
    assert desk.create("third", "--since", "index.json")["parent"]["sequence"] == made["sequence"]
    text = Path("deploy.yaml").read_text()
    Path("deploy.yaml").write_text(text.replace('"air"', '"water"'))
    failed = desk.run("bundle", "create", "-o", "other", "--since", "old.tar", exit=1)
    assert failed == {"bundle-of-another-project"}


def test_what_the_inside_has_is_left_out(desk: Desk, tmp_path: Path) -> None:
    blobs = str(tmp_path / "cache/hub/models--org--name/blobs")
    facts = HostFacts(
        "h1", "h1", "Debian", "6", "x86_64", 0, 0, "root", 8, 1 << 40, 1 << 40, "", DockerFacts("27", "1.47"),
        folders={blobs: {sha256(BIG): (len(BIG), 5)}},
    )  # fmt: skip
    Path("inside.json").write_text(json.dumps(facts_to_data(ObservedState({"h1": facts}))))
    made = desk.create("b", "--facts", "inside.json")
    assert [entry["sha256"] for entry in made["inside"]] == [sha256(BIG)]
    assert sha256(BIG) not in {entry["sha256"] for entry in made["files"]}
    assert "m.gguf" not in desk.hub.served
    assert desk.run("bundle", "create", "-o", "c", "--facts", "deploy.yaml", exit=1) == {"bad-facts"}


def test_models_of_the_controller_and_wheels_come_along(desk: Desk) -> None:
    text = Path("deploy.yaml").read_text()
    Path("deploy.yaml").write_text(text.replace("hf://org/name", "local://models/mine"))
    Path("models/mine").mkdir(parents=True)
    Path("models/mine/m.gguf").write_bytes(BIG)
    Path("wheels").mkdir()
    Path("wheels/deployer-9-py3-none-any.whl").write_bytes(b"wheel")
    made = desk.create("b.tar", "--wheels", "wheels")
    assert sha256(BIG) in {entry["sha256"] for entry in made["files"]}
    with tarfile.open("b.tar") as archive:
        assert archive.extractfile("wheels/deployer-9-py3-none-any.whl").read() == b"wheel"  # type: ignore[union-attr]
    assert desk.run("bundle", "create", "-o", "c", "--wheels", "models", exit=1) == {"no-wheels"}


def test_offline_names_the_hub_that_would_be_asked(desk: Desk) -> None:
    text = Path("deploy.yaml").read_text()
    Path("deploy.yaml").write_text(text.replace(desk.hub.url, "https://hub.example"))
    assert desk.run("bundle", "create", "-o", "b", "--offline", exit=1) == {"offline"}
    assert "host `h1` would fetch `hf://org/name` from `hub.example`" in desk.said
    Path("deploy.yaml").write_text(text)
    assert desk.run("lock", "--offline", "--upgrade", "m", exit=1) == {"offline"}
    assert desk.hub.url in desk.said
    assert desk.run("estimate", "--offline", "hf://org/name", exit=1) == {"offline"}
