"""Images that no host can pull, and tags that move."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from labkit import images
from labkit.hosts import OPEN_PORT, STAND_IN, Lab
from labkit.oci import Image, layer, push, save
from labkit.project import Project, changes, must_name
from labkit.relay import BadRegistry

HOST = "lab2"
STANDIN = 'chat: {model: tiny, image: %s, env: {STANDIN_DELAY: "0"}}'
NAMES = "docker images --format '{{.Repository}}:{{.Tag}}'"
NOTES = "docker images --format '{{.ID}} {{.Repository}}' | grep note | cut -d' ' -f1 | sort -u"


def stand_in(note: str) -> Image:
    """The stand-in with something of its own on top."""
    image = images.stand_in()
    return Image((*image.layers, layer({"opt/note": note})), image.config)


@pytest.fixture
def no_image(lab: Lab, project: Project, tmp_path: Path) -> Iterator[None]:
    """The host has no layer of the stand-in."""
    project.environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    lab.sh(HOST, f"docker rmi -f {STAND_IN} >/dev/null")
    yield
    lab.sh(HOST, f"docker ps -aq | xargs -r docker rm -f >/dev/null; {NOTES} | xargs -r docker rmi -f")
    lab.run(HOST, "docker", "pull", "-q", STAND_IN)


@pytest.mark.usefixtures("no_image")
@pytest.mark.heavy  # tests/contract/operations has the same on one host
def test_a_host_that_reaches_no_registry_must_get_its_images_over_the_connection(lab: Lab, project: Project) -> None:
    with BadRegistry(f"{lab.network}.1", OPEN_PORT, at="127.0.0.1") as registry:
        gateway = f"{lab.network}.1:{OPEN_PORT}"
        for number in ("1", "2"):
            push(stand_in(number), gateway, f"lab/note:{number}")
        image = f"{registry.address}/lab/note"
        project.write(STANDIN % f'"{image}:1"', hosts=f"{{{HOST}: {{fetch: controller}}}}")
        first = next(s for s in project.plan()["steps"] if s["op"] == "load-image")
        assert first["bytes"] > 1_000_000
        done = project.apply()
        assert f"done bring image {image}:1" in done.err
        assert "3 of 3 layers were missing" in done.err
        project.must_be_settled()
        passed = registry.passed
        project.edit(f"{image}:1", f"{image}:2")
        second = next(s for s in project.plan()["steps"] if s["op"] == "load-image")
        assert second["bytes"] < 10_000
        assert "1 of 3 layers were missing" in project.apply().err
        assert registry.passed - passed < 100_000
    assert lab.sh(HOST, "docker images -q -f dangling=true") == ""
    assert lab.sh(HOST, "ls -A /root/.docker 2>/dev/null || true") == ""


@pytest.mark.heavy
@pytest.mark.usefixtures("no_image")
def test_an_image_out_of_an_archive_must_serve(lab: Lab, project: Project) -> None:
    save(stand_in("3"), "somebody/note:3", project.folder / "note.tar")
    project.write(STANDIN % "{name: reg.local/note:3, archive: note.tar}", hosts=f"{{{HOST}: {{}}}}")
    assert "bring image reg.local/note:3 from note.tar" in project.run("plan").out
    project.apply()
    project.must_be_settled()
    assert "reg.local/note:3" in lab.sh(HOST, NAMES)
    save(stand_in("4"), "somebody/note:3", project.folder / "note.tar")
    (change,) = changes(project.plan())
    assert [reason["code"] for reason in change["reasons"]] == ["image-moved"]


@pytest.mark.heavy
@pytest.mark.usefixtures("no_image")
def test_a_tag_that_moves_must_change_nothing_until_the_lock_is_upgraded(lab: Lab, project: Project) -> None:
    gateway = f"{lab.network}.1:{OPEN_PORT}"
    image = f"{gateway}/lab/note:moving"
    push(stand_in("5"), gateway, "lab/note:moving")
    chat = STANDIN.replace("model: tiny", "model: tiny, port: 8090") % f'"{image}"'
    project.write(chat, f"{{{HOST}: {{}}}}", f'registries: {{"{gateway}": {{plain_http: true}}}}')
    must_name(project.run("plan", "--locked", exit=3), image, "deployer lock")
    project.run("lock")
    before = json.loads((project.folder / "deploy.lock").read_text())["images"][image]
    push(stand_in("6"), gateway, "lab/note:moving")
    project.apply("--locked")
    config = before["platforms"]["linux/amd64"]["config"]["digest"]
    assert lab.run(HOST, "docker", "image", "inspect", "-f", "{{.Id}}", image).strip() == config
    project.run("lock")
    project.must_be_settled()
    shown = project.run("lock", "--upgrade", image)
    after = json.loads((project.folder / "deploy.lock").read_text())["images"][image]
    assert f"moved from {before['digest'][:19]} to {after['digest'][:19]}" in shown.out
    (change,) = changes(project.plan())
    assert [reason["code"] for reason in change["reasons"]] == ["image-moved"]
    project.apply()
    project.must_be_settled()
    running = "docker ps -q --filter label=deployer.service=chat | xargs docker inspect -f '{{.Image}}'"
    assert lab.sh(HOST, running).strip() == after["platforms"]["linux/amd64"]["config"]["digest"]
    lab.sh(HOST, "docker image prune -af")
    project.run("rollback", "-y")
    assert lab.sh(HOST, running).strip() == config, "what the tag meant before"
