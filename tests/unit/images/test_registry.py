"""What a registry is asked, what its answers are made into, and what of them is refused."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.errors import OperationError
from deployer.formats.oci import digest_of
from deployer.images.access import Access, docker_login, endpoint_of, is_loopback
from deployer.images.blobs import BlobStore
from deployer.images.fetching import fetch_image
from deployer.images.registry import RegistryReader
from deployer.values.image_content import ResolvedImage
from deployer.values.secrets import Secret
from tests.support.images import MadeImage, index_of, layer_tar, made_image
from tests.support.registryserver import RegistryServer, serving

Login = tuple[str, str] | None
BASE = layer_tar("base", b"b" * 40_000)
IMAGE = made_image(BASE, layer_tar("app", b"a" * 300_000))
ARM = made_image(layer_tar("base", b"arm"), machine="arm64")


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with serving(RegistryServer()) as server:
        server.add("models/stub:1", IMAGE)
        yield server


def reader(registry: RegistryServer, login: Login = None) -> RegistryReader:
    user, password = login or (None, None)
    secret = Secret(password) if password is not None else None
    return RegistryReader(Access(registry.address, f"http://{registry.address}", user, secret))


def resolved(registry: RegistryServer, name: str = "models/stub:1", login: Login = None) -> ResolvedImage:
    with reader(registry, login) as known:
        return known.resolve(image(registry, name))


def image(registry: RegistryServer, name: str = "models/stub:1") -> str:
    return f"{registry.address}/{name}"


def failure(registry: RegistryServer, name: str = "models/stub:1", login: Login = None) -> str:
    with pytest.raises(OperationError) as failed:
        resolved(registry, name, login)
    found = failed.value.diagnostic
    assert found.hint
    assert "hunter2" not in str(found)
    return found.code


def test_a_tag_becomes_digests(registry: RegistryServer) -> None:
    found = resolved(registry)
    assert found.digest == IMAGE.digest
    content = found.on("x86_64")
    assert content is not None
    assert (content.manifest, content.config, content.layers) == (
        IMAGE.content.manifest, IMAGE.content.config, IMAGE.content.layers,
    )  # fmt: skip
    assert content.diff_ids == IMAGE.content.diff_ids
    assert {IMAGE.id, IMAGE.digest} == found.ids


def test_an_index_has_an_image_for_each_processor(registry: RegistryServer) -> None:
    index = index_of(IMAGE, ARM)
    registry.add_index("models/both:1", index, IMAGE, ARM)
    found = resolved(registry, "models/both:1")
    assert found.digest == digest_of(index)
    assert {name: content.config.digest for name, content in found.platforms.items()} == {
        "linux/amd64": IMAGE.id,
        "linux/arm64": ARM.id,
    }
    again = resolved(registry, f"models/both@{digest_of(index)}")
    assert again.platforms == found.platforms


def test_an_image_for_other_systems_only(registry: RegistryServer) -> None:
    registry.add_index("models/none:1", index_of())
    assert failure(registry, "models/none:1") == "image-architecture"


def test_what_is_not_there(registry: RegistryServer) -> None:
    assert failure(registry, "models/stub:2") == "image-not-found"


def test_a_password(registry: RegistryServer) -> None:
    registry.login = ("ops", "hunter2")
    assert resolved(registry, login=("ops", "hunter2")).digest == IMAGE.digest
    assert failure(registry) == "registry-denied"
    assert failure(registry, login=("ops", "wrong")) == "registry-denied"


def test_a_token_is_asked_for_once(registry: RegistryServer) -> None:
    registry.login, registry.tokens = ("ops", "hunter2"), True
    assert resolved(registry, login=("ops", "hunter2")).digest == IMAGE.digest
    assert registry.paths().count("/token") == 1
    assert failure(registry, login=("ops", "wrong")) == "registry-denied"


def test_a_token_that_ends_while_layers_come_is_asked_for_anew(registry: RegistryServer, tmp_path: Path) -> None:
    registry.login, registry.tokens = ("ops", "hunter2"), True

    def expire(done: int, total: int) -> None:
        registry.token = f"another-{done}"

    with reader(registry, ("ops", "hunter2")) as known:
        store = fetch_image(BlobStore(tmp_path), known, image(registry), IMAGE.content, expire)
    assert all(store.has(layer) for layer in IMAGE.content.layers)
    assert registry.paths().count("/token") == 3  # config, two layers


def test_a_token_without_a_login(registry: RegistryServer) -> None:
    registry.tokens = True
    assert resolved(registry).digest == IMAGE.digest


def test_no_password_for_a_realm_of_somebody_else(registry: RegistryServer) -> None:
    with serving(RegistryServer()) as thief:
        registry.login, registry.tokens = ("ops", "hunter2"), True
        registry.realm = f"http://localhost:{thief.address.rpartition(':')[2]}/token"
        assert failure(registry, login=("ops", "hunter2")) == "registry-failed"
        assert thief.seen == []


def test_blobs_from_elsewhere_come_without_the_login(registry: RegistryServer, tmp_path: Path) -> None:
    with serving(RegistryServer(blobs=dict(IMAGE.blobs))) as elsewhere:
        registry.login, registry.elsewhere = ("ops", "hunter2"), f"http://{elsewhere.address}"
        with reader(registry, ("ops", "hunter2")) as known:
            found = known.resolve(image(registry)).platforms["linux/amd64"]
            fetch_image(BlobStore(tmp_path), known, image(registry), found, lambda done, total: None)
        assert {authorization for _, authorization, _ in elsewhere.seen} == {""}
        assert len(elsewhere.seen) == 4  # the config twice


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (b"<html>", "image-unreadable"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "image-unreadable"),
        (b'{"schemaVersion": 2, "layers": [], "config": {"digest": "sha256:..", "size": 1}}', "image-unreadable"),
        (b'{"schemaVersion": 2, "manifests": 7}', "image-unreadable"),
        (b"[" * 100_000, "image-unreadable"),
        (b'{"a": "' + b"x" * (5 << 20) + b'"}', "registry-failed"),
    ],
)
def test_hostile_manifests(registry: RegistryServer, what: bytes, code: str) -> None:
    registry.manifests["models/stub:1"] = what
    assert failure(registry) in (code, "image-unreadable")


def test_another_manifest_than_the_one_asked_for(registry: RegistryServer) -> None:
    registry.manifests[f"models/stub@{IMAGE.digest}"] = ARM.manifest
    assert failure(registry, f"models/stub@{IMAGE.digest}") == "wrong-digest"


def test_another_config_than_the_one_promised(registry: RegistryServer) -> None:
    registry.lies[IMAGE.id] = ARM.config
    assert failure(registry) == "wrong-digest"


def test_nobody_listens() -> None:
    with (
        RegistryReader(Access("127.0.0.1:1", "http://127.0.0.1:1")) as known,
        pytest.raises(OperationError) as failed,
    ):
        known.resolve("127.0.0.1:1/models/stub:1")
    assert failed.value.diagnostic.code == "registry-unreachable"
    assert failed.value.diagnostic.evidence == ("Connection refused",)


# --- blobs ----------------------------------------------------------------------------------


def fetched(registry: RegistryServer, folder: Path, made: MadeImage = IMAGE) -> BlobStore:
    store = BlobStore(folder, lambda seconds: None)
    with reader(registry) as known:
        return fetch_image(store, known, image(registry), made.content, lambda done, total: None)


def test_a_store_has_what_was_fetched_and_fetches_it_once(registry: RegistryServer, tmp_path: Path) -> None:
    store = fetched(registry, tmp_path)
    for digest, data in IMAGE.blobs.items():
        assert (tmp_path / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes() == data
    before = len(registry.seen)
    fetched(registry, tmp_path)
    assert len(registry.seen) == before
    store.write_index({"models/stub:1": [IMAGE.content]})
    assert json.loads((tmp_path / "index.json").read_bytes())["manifests"][0]["digest"] == IMAGE.digest
    assert not list(tmp_path.rglob("*.part"))


def test_a_broken_connection_goes_on_where_it_ended(registry: RegistryServer, tmp_path: Path) -> None:
    layer = IMAGE.content.layers[0]
    registry.cuts[layer.digest] = [layer.size - 50, 20]
    fetched(registry, tmp_path)
    asked = [range_ for path, _, range_ in registry.seen if path.endswith(layer.digest)]
    assert asked == ["", "bytes=50-", f"bytes={layer.size - 20}-"]


def test_a_registry_without_ranges_begins_anew(registry: RegistryServer, tmp_path: Path) -> None:
    layer = IMAGE.content.layers[0]
    registry.ranges, registry.cuts[layer.digest] = False, [layer.size - 50]
    assert fetched(registry, tmp_path).has(layer)


def test_a_killed_fetch_costs_nothing_that_had_arrived(registry: RegistryServer, tmp_path: Path) -> None:
    layer = IMAGE.content.layers[1]
    part = tmp_path / "blobs/sha256" / f"{layer.hex}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(IMAGE.blobs[layer.digest][:100])
    fetched(registry, tmp_path)
    assert [range_ for path, _, range_ in registry.seen if path.endswith(layer.digest)] == ["bytes=100-"]


def test_a_lie_gets_no_name(registry: RegistryServer, tmp_path: Path) -> None:
    layer = IMAGE.content.layers[1]
    registry.lies[layer.digest] = b"x" * layer.size
    with pytest.raises(OperationError) as failed:
        fetched(registry, tmp_path)
    assert failed.value.diagnostic.code == "wrong-digest"
    assert not BlobStore(tmp_path).has(layer)
    registry.lies = {}
    assert fetched(registry, tmp_path).has(layer)


def test_no_more_is_written_than_was_promised(registry: RegistryServer, tmp_path: Path) -> None:
    layer = IMAGE.content.layers[1]
    registry.lies[layer.digest] = IMAGE.blobs[layer.digest] + b"x" * 1_000_000
    fetched(registry, tmp_path)
    assert (tmp_path / "blobs/sha256" / layer.hex).stat().st_size == layer.size


def test_a_registry_that_stays_away_is_given_up(registry: RegistryServer, tmp_path: Path) -> None:
    layer = IMAGE.content.layers[1]
    registry.cuts[layer.digest] = [layer.size] * 50
    with pytest.raises(OperationError) as failed:
        fetched(registry, tmp_path)
    assert failed.value.diagnostic.code == "registry-unreachable"


def test_what_is_no_longer_used_is_taken_away(registry: RegistryServer, tmp_path: Path) -> None:
    store = fetched(registry, tmp_path)
    old = store.put(b"of another image")
    part = store.path(old).with_name("0" * 64 + ".part")
    part.write_bytes(b"cut off")
    for path in (tmp_path / "blobs/sha256").iterdir():
        os.utime(path, (1_000.0, 1_000.0))
    fetched(registry, tmp_path)  # uses what is there
    store.prune(before=2_000.0)
    assert all(store.has(blob) for blob in (IMAGE.content.config, *IMAGE.content.layers))
    assert not store.has(old)
    assert not part.exists()


def test_a_disk_that_takes_no_image_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = BlobStore(tmp_path / "file")
    for write in (lambda: store.put(b"{}"), lambda: store.write_index({})):
        with pytest.raises(OperationError) as failed:
            write()
        assert failed.value.diagnostic.code == "cannot-write"


# --- where and as whom ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("registry", "expected"),
    [("localhost:5000", True), ("127.0.0.1", True), ("127.9.9.9:80", True), ("[::1]:5000", True),
     ("reg.local:5000", False), ("10.0.0.1:5000", False)],
)  # fmt: skip
def test_registries_of_this_machine(registry: str, expected: bool) -> None:
    assert is_loopback(registry) is expected


def test_endpoints() -> None:
    assert endpoint_of("docker.io") == "https://registry-1.docker.io"
    assert endpoint_of("reg.local:5000") == "https://reg.local:5000"
    assert endpoint_of("reg.local:5000", plain_http=True) == "http://reg.local:5000"


def test_the_login_of_docker_on_this_machine(tmp_path: Path) -> None:
    auth = base64.b64encode(b"ops:hunter2").decode()
    config = {"auths": {"reg.local:5000": {"auth": auth}, "https://index.docker.io/v1/": {"auth": auth}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    environment = {"DOCKER_CONFIG": str(tmp_path)}
    for registry in ("reg.local:5000", "docker.io"):
        login = docker_login(registry, environment)
        assert login is not None
        assert (login[0], login[1].reveal(), login[2]) == ("ops", "hunter2", False)
    assert docker_login("other.local", environment) is None
    assert docker_login("other.local", {"HOME": str(tmp_path / "nobody")}) is None
