"""Images from the controller: only layers that the host lacks go over, whatever breaks off, and nothing else stays."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from docker.errors import ImageNotFound

from deployer.docker import loadtar
from deployer.docker.layers import chains_there, keeps_images_in_containerd
from deployer.engine import image_load
from deployer.engine.registries import Registries
from deployer.engine.streams import Ended, engine_upload
from deployer.engine.watch import Abandoned, Watch
from deployer.values.events import Event, StepProgress
from deployer.values.transfers import LoadImage, PullImage
from tests.contract.operations.bench import Bench
from tests.contract.operations.test_images import pull
from tests.support.fakeengine import FakeImage, FakeRegistry
from tests.support.fakehost import FakeHost
from tests.support.images import MadeImage, layer_tar, made_image, saved_tar
from tests.support.registryserver import RegistryServer, serving

BASE, MIDDLE = (layer_tar(name, os.urandom(200_000)) for name in ("base", "middle"))
LOWER = made_image(BASE, MIDDLE)
UPPER = made_image(BASE, MIDDLE, layer_tar("top", os.urandom(300_000)), layer_tar("last", b"last"))


@pytest.fixture
def registry(bench: Bench) -> Iterator[RegistryServer]:
    with serving(RegistryServer()) as server:
        server.add("models/lower:1", LOWER)
        server.add("models/upper:1", UPPER)
        bench.images = Registries({}, bench.secrets, {"XDG_CACHE_HOME": str(bench.directory / "cache")})
        if isinstance(bench.transport, FakeHost):  # which pulls from no server
            lower = FakeImage(LOWER.id, diff_ids=LOWER.content.diff_ids)
            known = {"models/lower:1": lower, f"models/lower@{LOWER.digest}": lower}
            bench.transport.engine_state.registries[server.address] = FakeRegistry(known)
        yield server
        for image in bench.docker.images(all=True):
            if image["Id"] in (*LOWER.content.ids, *UPPER.content.ids) or "deployer.part-of" in (image["Labels"] or {}):
                with contextlib.suppress(ImageNotFound):
                    bench.docker.remove_image(image["Id"], force=True)


def load(registry: RegistryServer, image: MadeImage, name: str) -> LoadImage:
    return LoadImage(f"{registry.address}/models/{name}", image.content, image.digest)


def blobs_asked(registry: RegistryServer) -> list[str]:
    return [path.rpartition("/")[2] for path in registry.paths() if "/blobs/" in path]


def parts_there(bench: Bench) -> list[str]:
    return [image["Id"] for image in bench.docker.images(filters={"label": f"deployer.part-of={UPPER.id}"})]


def load_part(bench: Bench, count: int) -> None:
    """Of the upper image, with its lowest layers in the tar."""
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "config": {"Labels": {"deployer.part-of": UPPER.id}},
         "rootfs": {"type": "layers", "diff_ids": list(UPPER.content.diff_ids[:count])}}
    ).encode()  # fmt: skip
    tar = loadtar.Load(config, UPPER.content.layers[:count], UPPER.content.layers[:count])
    pieces = (p if isinstance(p, bytes) else UPPER.blobs[p.digest] + loadtar.padding(p) for p in tar.parts())
    with engine_upload(bench.transport, "/images/load?quiet=0", tar.size, pieces) as said, contextlib.suppress(Ended):
        while True:
            said.next(60.0)


def test_an_image_comes_with_what_is_missing_alone(bench: Bench, registry: RegistryServer) -> None:
    assert bench.perform(load(registry, LOWER, "lower:1")) == "2 of 2 layers were missing"
    assert bench.docker.inspect_image(f"{registry.address}/models/lower:1")["Id"] == LOWER.id
    registry.seen.clear()
    assert bench.perform(load(registry, UPPER, "upper:1")) == "2 of 4 layers were missing"
    assert bench.docker.inspect_image(f"{registry.address}/models/upper:1")["Id"] == UPPER.id
    assert sorted(blobs_asked(registry)) == sorted([UPPER.id, *(b.digest for b in UPPER.content.layers[2:])])
    assert bench.perform(load(registry, UPPER, "upper:1")) == "was there already"
    total = sum(blob.size for blob in UPPER.content.layers[2:])
    sent = [e for e in bench.events if isinstance(e, StepProgress) and "Docker unpacks" in e.what]
    assert (sent[-1].done, sent[-1].total) == (total, total)


def test_an_image_that_is_there_gets_its_other_name(bench: Bench, registry: RegistryServer) -> None:
    bench.perform(load(registry, LOWER, "lower:1"))
    assert bench.perform(load(registry, LOWER, "again:2")) == "was there already"
    assert bench.docker.inspect_image(f"{registry.address}/models/again:2")["Id"] == LOWER.id


def test_an_image_named_by_its_digest(bench: Bench, registry: RegistryServer) -> None:
    name = f"lower@{LOWER.digest}"
    bench.perform(load(registry, LOWER, name))
    assert bench.perform(load(registry, LOWER, name)) == "was there already"
    assert bench.docker.inspect_image(LOWER.id)["RepoTags"]  # or `docker image prune` would take it


def settled(bench: Bench) -> int:
    """How many layers are there, each held by a part: Docker may still come to the end of what it had."""
    for _ in range(100):
        there = len(UPPER.content.layers) - len(UPPER.content.missing(chains_there(bench.transport)))
        if len(parts_there(bench)) == there:
            return there
        time.sleep(0.1)
    raise AssertionError(f"{len(parts_there(bench))} parts of {there} layers")


def test_what_was_sent_before_a_break_is_not_sent_again(
    bench: Bench, registry: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loadtar, "BATCH", 1)

    def stop_in_the_third(event: Event) -> None:
        if isinstance(event, StepProgress) and "unpacks" in event.what and event.done > 500_000:
            raise Abandoned

    with pytest.raises(Abandoned):
        bench.perform(load(registry, UPPER, "upper:1"), Watch("step", "here", "bring", stop_in_the_third))
    assert len(chains_there(bench.transport) & {*UPPER.content.diff_ids[:1]}) == 1
    there = settled(bench)
    assert there >= 2
    sent_again = int(bench.perform(load(registry, UPPER, "upper:1")).partition(" ")[0])
    assert sent_again <= 4 - there  # Docker may have come to the end of what it had
    assert parts_there(bench) == []
    assert UPPER.content.missing(chains_there(bench.transport)) == ()


def test_parts_that_a_dead_apply_left_go_when_the_image_is_used(bench: Bench, registry: RegistryServer) -> None:
    operation = load(registry, UPPER, "upper:1")
    bench.perform(operation)
    for use in (operation, replace(bench.creation(), image_ids=(UPPER.id,))):
        load_part(bench, 2)
        assert len(parts_there(bench)) == 1
        bench.perform(use)
        assert parts_there(bench) == []
    assert UPPER.content.missing(chains_there(bench.transport)) == ()


def test_layers_that_vanish_after_the_look_are_sent_too(
    bench: Bench, registry: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_load, "chains_there", lambda transport: frozenset(UPPER.content.diff_ids[:1]))
    assert bench.perform(load(registry, UPPER, "upper:1")) == "4 of 4 layers were missing"
    assert bench.docker.inspect_image(f"{registry.address}/models/upper:1")["Id"] == UPPER.id


@pytest.mark.parametrize("packed", [True, False])
def test_out_of_an_archive(bench: Bench, registry: RegistryServer, packed: bool) -> None:
    archive = bench.directory / "upper.tar"
    archive.write_bytes(saved_tar(UPPER, "reg.local/upper:1", packed=packed))
    known = Registries({}, bench.secrets, {}, bench.directory).archive("upper.tar").image("reg.local/upper:1")
    content = known.platforms["linux/amd64"]
    bench.images = Registries({}, bench.secrets, {}, bench.directory)
    operation = LoadImage("reg.local/upper:1", content, None, "upper.tar")
    assert bench.perform(operation) == "4 of 4 layers were missing"
    assert bench.docker.inspect_image("reg.local/upper:1")["Id"] == UPPER.id
    assert registry.seen == []


def test_an_archive_with_a_wrong_layer_leaves_nothing(bench: Bench, registry: RegistryServer) -> None:
    wrong = MadeImage(UPPER.manifest, UPPER.config, UPPER.blobs, (*UPPER.tars[:3], b"x" * 10240), UPPER.content)
    (bench.directory / "upper.tar").write_bytes(saved_tar(wrong, "reg.local/upper:1"))
    bench.images = Registries({}, bench.secrets, {}, bench.directory)
    content = bench.images.archive("upper.tar").image("reg.local/upper:1").platforms["linux/amd64"]
    found = bench.failure(LoadImage("reg.local/upper:1", content, None, "upper.tar"))
    assert found.code == "wrong-digest"
    assert UPPER.content.missing(chains_there(bench.transport)) == UPPER.content.layers
    assert parts_there(bench) == []


def test_a_layer_that_unpacks_to_something_else_is_docker_s_to_refuse(bench: Bench, registry: RegistryServer) -> None:
    """A manifest and a config that do not belong together: each blob is what it is called."""
    config = json.loads(LOWER.config)
    config["rootfs"]["diff_ids"] = [LOWER.content.diff_ids[1], LOWER.content.diff_ids[0]]
    forged = MadeImage(LOWER.manifest, json.dumps(config).encode(), LOWER.blobs, LOWER.tars, LOWER.content)
    (bench.directory / "liar.tar").write_bytes(saved_tar(forged, "reg.local/liar:1", packed=True))
    bench.images = Registries({}, bench.secrets, {}, bench.directory)
    content = bench.images.archive("liar.tar").image("reg.local/liar:1").platforms["linux/amd64"]
    found = bench.failure(LoadImage("reg.local/liar:1", content, None, "liar.tar"))
    assert found.code == "load-failed"
    assert "invalid diffID" in found.evidence[0]


@pytest.mark.parametrize("bench", ["fake"], indirect=True)
def test_a_store_of_containerd_gets_all_of_it_at_once(
    bench: Bench, registry: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(bench.transport, FakeHost)
    monkeypatch.setattr(loadtar, "BATCH", 1)
    monkeypatch.setattr(bench.transport.engine_state, "containerd", True)
    bench.perform(load(registry, LOWER, "lower:1"))
    assert bench.perform(load(registry, UPPER, "upper:1")) == "4 of 4 layers were missing"
    assert bench.docker.inspect_image(f"{registry.address}/models/upper:1")["Id"] == UPPER.digest
    assert bench.perform(load(registry, UPPER, "upper:1")) == "was there already"
    monkeypatch.setattr(bench.transport.engine_state, "unpacking", ["write: no space left on device"])
    bench.docker.remove_image(UPPER.digest, force=True)
    assert bench.failure(load(registry, UPPER, "upper:1")).code == "disk-full"
    (bench.directory / "upper.tar").write_bytes(saved_tar(UPPER, "reg.local/upper:1"))
    bench.images = Registries({}, bench.secrets, {}, bench.directory)
    content = bench.images.archive("upper.tar").image("reg.local/upper:1").platforms["linux/amd64"]
    bench.docker.remove_image(UPPER.digest, force=True)
    found = bench.failure(LoadImage("reg.local/upper:1", content, None, "upper.tar"))
    assert found.code == "image-without-manifest"


@pytest.mark.heavy
@pytest.mark.parametrize("bench", [pytest.param("dockerd", marks=pytest.mark.lab)], indirect=True)
def test_a_real_store_of_containerd(bench: Bench, registry: RegistryServer) -> None:
    """Of Docker 25 and newer, with DOCKERD_CONFIG='{"features": {"containerd-snapshotter": true}}'."""
    if not keeps_images_in_containerd(bench.transport):
        pytest.skip("this Docker keeps images with a graph driver")
    assert bench.perform(load(registry, LOWER, "lower:1")) == "2 of 2 layers were missing"
    assert bench.perform(load(registry, UPPER, "upper:1")) == "4 of 4 layers were missing"
    found = bench.docker.inspect_image(f"{registry.address}/models/upper:1")
    assert (found["Id"], found["RootFS"]["Layers"]) == (UPPER.digest, list(UPPER.content.diff_ids))
    assert bench.perform(load(registry, UPPER, "upper:1")) == "was there already"
    assert bench.failure(pull(bench.closed_registry)).code == "registry-denied"
    (bench.directory / "upper.tar").write_bytes(saved_tar(UPPER, "reg.local/upper:1"))
    bench.images = Registries({}, bench.secrets, {}, bench.directory)
    content = bench.images.archive("upper.tar").image("reg.local/upper:1").platforms["linux/amd64"]
    bench.docker.remove_image(UPPER.digest, force=True)
    refused = bench.failure(LoadImage("reg.local/upper:1", content, None, "upper.tar"))
    assert refused.code == "image-without-manifest"


def test_a_registry_that_lies(bench: Bench, registry: RegistryServer) -> None:
    registry.lies[LOWER.content.layers[1].digest] = b"x" * LOWER.content.layers[1].size
    assert bench.failure(load(registry, LOWER, "lower:1")).code == "wrong-digest"
    assert LOWER.content.missing(chains_there(bench.transport)) == LOWER.content.layers


def test_bytes_of_one_read_serve_every_host(bench: Bench, registry: RegistryServer) -> None:
    bench.perform(load(registry, LOWER, "lower:1"))
    bench.docker.remove_image(f"{registry.address}/models/lower:1", force=True)
    registry.seen.clear()
    assert bench.perform(load(registry, LOWER, "lower:1")) == "2 of 2 layers were missing"
    assert registry.seen == []
    assert (bench.directory / "cache/deployer/images/blobs/sha256" / LOWER.content.layers[0].hex).is_file()


def test_a_pull_by_digest_gives_the_image_its_name(bench: Bench, registry: RegistryServer) -> None:
    """Whatever the tag means by now."""
    name = f"{registry.address}/models/lower:1"
    registry.manifests["models/lower:1"] = UPPER.manifest
    operation = PullImage(name, registry.address, LOWER.digest, (LOWER.id, LOWER.digest), LOWER.content.size)
    assert bench.perform(operation) == ""
    assert bench.docker.inspect_image(name)["Id"] == LOWER.id
    assert bench.perform(operation) == "was there already"
