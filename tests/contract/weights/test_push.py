"""The controller brings weights to a host: from its own disk, or from a hub that the host cannot reach."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from deployer.errors import OperationError
from deployer.spec.language import Host, Model
from deployer.transport.base import Completed
from deployer.transport.local import LocalTransport
from deployer.values.secrets import Secret
from deployer.values.weights import Manifest
from deployer.weights import push as pushing
from deployer.weights.access import Access
from deployer.weights.huggingface import list_huggingface
from deployer.weights.push import push
from deployer.weights.script import Job
from deployer.weights.sources import list_source
from tests.support.hub import Hub

BIG = random.Random(5).randbytes(300_000)
FILES = {"config.json": b"{}", "sub/model.safetensors": BIG, "empty.txt": b""}


class Cut(Exception):
    """The controller dies."""


class CountingHost(LocalTransport):
    """Counts what is sent to it; dies after so many chunks."""

    chunks = 0
    dies_after = -1

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Completed:
        if argv[-1] == "deployer-push":
            if self.chunks == self.dies_after:
                self.dies_after = -1
                raise Cut
            self.chunks += 1
        return super().run(argv, stdin=stdin, timeout=timeout)


@pytest.fixture
def host() -> Iterator[CountingHost]:
    made = CountingHost("box", Host.model_validate({"connection": "local"}))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing, "CHUNK", 50_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        path = tmp_path / "models/m" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path


def local(folder: Path) -> Manifest:
    found = list_source(Model.model_validate({"source": "local://models/m"}), {}, folder)
    return Manifest(found.source, found.revision, found.commit, found.files)


def is_whole(cache: Path, manifest: Manifest) -> None:
    snapshot = cache / manifest.snapshot
    found = {str(p.relative_to(snapshot)): p.read_bytes() for p in snapshot.rglob("*") if p.is_file()}
    assert found == FILES
    assert (cache / "manifests" / manifest.id).exists()
    assert all(p.stat().st_mode & stat.S_IROTH for p in (cache / manifest.folder / "blobs").iterdir())


def silent(word: str, count: int) -> None:
    pass


def test_a_folder_of_the_controller_is_brought_whole_and_once(host: CountingHost, folder: Path) -> None:
    manifest, cache = local(folder), folder / "cache"
    seen: dict[str, list[int]] = {}
    size = sum(map(len, FILES.values()))
    assert push(host, Job(str(cache), manifest), lambda word, count: seen.setdefault(word, []).append(count)) == size
    is_whole(cache, manifest)
    assert all(counts == sorted(counts) for counts in seen.values())
    assert (seen["progress"][-1], seen["checking"][-1]) == (size, size), "brought, then read once more"
    assert push(host, Job(str(cache), manifest), silent) == 0


def test_it_goes_on_where_it_was_cut(host: CountingHost, folder: Path) -> None:
    job = Job(str(folder / "cache"), local(folder))
    for dies_after in (2, 5):
        host.dies_after = dies_after
        with pytest.raises(Cut):
            push(host, job, silent)
    push(host, job, silent)
    is_whole(folder / "cache", job.manifest)
    assert host.chunks == 7, "config.json and six chunks of the model"


def test_a_file_that_changed_is_another_model(folder: Path) -> None:
    before = local(folder)
    path = folder / "models/m/config.json"
    path.write_bytes(b"[]")
    os.utime(path, (1, 1))
    assert local(folder).id != before.id


def test_what_arrives_wrong_is_not_called_whole(host: CountingHost, folder: Path) -> None:
    job = Job(str(folder / "cache"), local(folder))
    large = next(f for f in job.manifest.files if f.path.startswith("sub"))
    part = folder / "cache" / job.manifest.folder / "blobs" / f"{large.blob}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 60_000)
    with pytest.raises(OperationError) as caught:
        push(host, job, silent)
    assert caught.value.diagnostic.code == "wrong-hash"
    assert not (folder / "cache/manifests" / job.manifest.id).exists()
    push(host, job, silent)
    is_whole(folder / "cache", job.manifest)


def test_a_hub_is_read_by_the_controller_through_drops_and_with_its_token(
    host: CountingHost, hub: Hub, tmp_path: Path
) -> None:
    hub.repo("org/name", FILES, token="hf_secret")
    hub.store = hub.url.replace("127.0.0.1", "localhost")
    hub.faults.drop_after, hub.faults.drops = 120_000, 2
    found = list_huggingface("hf://org/name", None, Access(hub.url, Secret("hf_secret")))
    manifest = Manifest(found.source, found.revision, found.commit, found.files)
    push(host, Job(str(tmp_path), manifest, {"hf": Secret("hf_secret")}), silent)
    is_whole(tmp_path, manifest)
    assert not [path for path, _ in hub.tokens if path.startswith("/lfs/")]
    assert hub.total <= sum(map(len, FILES.values())) + 2 * 65_536, "what came before a drop is kept"


def test_a_path_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(OperationError) as caught:
        list_source(Model.model_validate({"source": "local:///no/such/model.gguf"}), {}, tmp_path)
    assert caught.value.diagnostic.code == "no-such-source"


def test_small_files_come_together(host: CountingHost, tmp_path: Path) -> None:
    (tmp_path / "models/m").mkdir(parents=True)
    for number in range(100):
        (tmp_path / f"models/m/{number}.json").write_bytes(b"%d" % number * 200)
    manifest, cache = local(tmp_path), tmp_path / "cache"
    host.dies_after = 1
    with pytest.raises(Cut):
        push(host, Job(str(cache), manifest), silent)
    push(host, Job(str(cache), manifest), silent)
    assert host.chunks == 2, "64 and 36 files, none of them twice"
    found = {path.name: path.read_bytes() for path in (cache / manifest.snapshot).iterdir()}
    assert found == {f"{number}.json": b"%d" % number * 200 for number in range(100)}
