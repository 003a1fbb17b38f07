"""Copies that a host had before deployer: a cache as huggingface_hub lays it out itself, plain folders, real shells."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deployer.engine.context import ApplyContext, Site
from deployer.engine.copies import check_again, check_copy, wrong_files
from deployer.engine.probe import parse_probe, probe_script
from deployer.engine.secret_sources import SourceReader
from deployer.engine.secrets import SecretStore
from deployer.engine.watch import Watch
from deployer.errors import OperationError
from deployer.planning.presynced import InPlace, judge, places_asked
from deployer.spec.language import Host, Model
from deployer.transport.local import LocalTransport
from deployer.values.cache import KeptCopy
from deployer.values.names import STATE_DIR
from deployer.values.presynced import Copy
from deployer.values.transfers import CheckCopy
from deployer.values.weights import FOUND, Manifest
from deployer.weights.access import Access
from deployer.weights.copies import Reading, read_copy, reading_script
from deployer.weights.huggingface import list_huggingface
from tests.support.hub import Hub, git_id, sha256

BIG = bytes(random.Random(1).randbytes(600_000))
FILES = {
    "config.json": b'{"architectures": ["LlamaForCausalLM"]}',
    "sub dir/it's.safetensors": BIG,
    "m.safetensors": b"x",
}
MARK = "m" * 32
SHELLS = [shell for shell in (["dash"], ["bash", "--posix"], ["busybox", "sh"]) if shutil.which(shell[0])]


@pytest.fixture
def transport() -> Iterator[LocalTransport]:
    made = LocalTransport("box", Host.model_validate({"connection": "local"}))
    yield made
    made.close()


@pytest.fixture
def manifest(hub: Hub) -> Manifest:
    hub.repo("org/name", FILES)
    hub.store = hub.url.replace("127.0.0.1", "localhost")  # another host, as the Hub's own storage is
    found = list_huggingface("hf://org/name", None, Access(hub.url))
    return Manifest(found.source, found.revision, found.commit, found.files)


@pytest.fixture
def cache(hub: Hub, manifest: Manifest, tmp_path: Path) -> Path:
    from huggingface_hub import hf_hub_download

    for name in FILES:
        hf_hub_download("org/name", name, cache_dir=str(tmp_path / "hf"), endpoint=hub.url, token=False)
    return tmp_path / "hf"


def copies(folder: Path, state: Path, shell: list[str] | None = None) -> tuple[Copy, ...]:
    host = Host.model_validate({"model_dirs": [str(folder)]})
    asked = places_asked(host, [Model.model_validate({"source": "hf://org/name"})])
    script = probe_script(MARK, (), gpus=False, copies=asked).replace(STATE_DIR.encode(), str(state).encode())
    done = subprocess.run([*(shell or ["sh"]), "-s"], input=script, capture_output=True, timeout=30, check=False)
    return parse_probe(done.stdout, MARK, (), copies=asked).copies


def reading(copy: Copy, manifest: Manifest, state: Path, *, again: bool = False) -> Reading:
    paths = tuple(file.path for file in manifest.files)
    return Reading(copy.root, copy.folder, paths, manifest.size, str(state), again)


def silent(count: int) -> None:
    pass


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: str(shell[0]))
def test_a_cache_of_huggingface_hub_is_recognised_and_read_once(
    cache: Path, manifest: Manifest, transport: LocalTransport, tmp_path: Path, shell: list[str]
) -> None:
    before = {path: path.stat() for path in cache.rglob("*")}
    (copy,) = copies(cache, tmp_path, shell)
    assert (copy.root, copy.commit) == (str(cache / "models--org--name"), manifest.commit)
    assert {path: stamp.size for path, stamp in copy.files.items()} == {name: len(data) for name, data in FILES.items()}
    assert copy.refs == {"main": manifest.commit}
    assert copy.architectures == ("LlamaForCausalLM",)
    assert judge(manifest, copy) == InPlace(copy, tuple(sorted(FILES)))
    wanted = reading(copy, manifest, tmp_path)
    ended = subprocess.run([*shell, "-s"], input=reading_script(wanted), capture_output=True, timeout=30, check=False)
    assert ended.stdout.split()[-2:] == [b"done", str(manifest.size).encode()]
    (known,) = copies(cache, tmp_path, shell)
    assert {path: (read.sha256, read.git) for path, read in known.read.items()} == {
        name: (sha256(data), git_id(data)) for name, data in FILES.items()
    }
    assert judge(manifest, known) == InPlace(known, ())
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == {p: s.st_mtime_ns for p, s in before.items()}


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: str(shell[0]))
def test_every_snapshot_of_a_cache_knows_what_its_branches_mean(
    cache: Path, manifest: Manifest, tmp_path: Path, shell: list[str]
) -> None:
    snapshots = cache / "models--org--name" / "snapshots"
    for older in ("0" * 40, "f" * 40):
        shutil.copytree(snapshots / manifest.commit, snapshots / older, symlinks=True)
    found = copies(cache, tmp_path, shell)
    assert {copy.commit for copy in found} == {"0" * 40, manifest.commit, "f" * 40}
    assert all(copy.refs == {"main": manifest.commit} for copy in found)


def test_what_another_host_read_of_the_same_files_is_not_read_again(
    cache: Path, manifest: Manifest, transport: LocalTransport, tmp_path: Path
) -> None:
    (copy,) = copies(cache, tmp_path / "one")
    first = read_copy(transport, reading(copy, manifest, tmp_path / "one"), silent)
    assert set(first.seen) == set(FILES)
    told = {path: words.replace(words[:6], "000000") for path, words in first.seen.items()}
    second = read_copy(transport, replace(reading(copy, manifest, tmp_path / "two"), told=told), silent)
    assert {path: sum_[:6] for path, (sum_, _) in second.hashes.items()} == dict.fromkeys(FILES, "000000")
    (known,) = copies(cache, tmp_path / "two")
    assert {path: read.sha256[:6] for path, read in known.read.items()} == dict.fromkeys(FILES, "000000")
    others = {path: f"{words}1" for path, words in told.items()}  # other inodes: other files
    third = read_copy(transport, replace(reading(copy, manifest, tmp_path / "three"), told=others), silent)
    assert third == first
    again = replace(reading(copy, manifest, tmp_path / "four", again=True), told=told)
    assert read_copy(transport, again, silent) == first


def test_a_change_is_seen_and_only_what_changed_is_read_again(
    cache: Path, manifest: Manifest, transport: LocalTransport, tmp_path: Path
) -> None:
    (copy,) = copies(cache, tmp_path)
    assert wrong_files(manifest, read_copy(transport, reading(copy, manifest, tmp_path), silent)) == {}
    victim = (cache / "models--org--name" / "blobs" / sha256(BIG)).resolve()
    victim.chmod(0o644)
    victim.write_bytes(BIG[:-1] + bytes([BIG[-1] ^ 1]))
    os.utime(victim, (1, 1))
    (changed,) = copies(cache, tmp_path)
    assert changed.changed == ("sub dir/it's.safetensors",)
    assert judge(manifest, changed) == InPlace(changed, ("sub dir/it's.safetensors",))
    outcome = read_copy(transport, reading(changed, manifest, tmp_path), silent)
    assert wrong_files(manifest, outcome) == {"sub dir/it's.safetensors": "has other content than its source"}
    (wrong,) = copies(cache, tmp_path)
    assert judge(manifest, wrong) == "`sub dir/it's.safetensors` has other content than its source"
    record = Path(reading(wrong, manifest, tmp_path).record).read_text()
    assert len(record.splitlines()) == len(FILES) + 1


def test_a_wrong_copy_fails_its_step_once_and_is_fetched_by_the_next_plan(
    cache: Path, manifest: Manifest, transport: LocalTransport, tmp_path: Path
) -> None:
    (copy,) = copies(cache, tmp_path)
    site = Site(
        ApplyContext("p", None, "1", SecretStore({}, SourceReader(tmp_path, {}), {}), state_dir=str(tmp_path)),
        transport,
        Watch("", "", ""),
    )
    operation = CheckCopy(copy.root, copy.folder, manifest, "/cache")
    assert check_copy(operation, site) == ""
    assert check_copy(replace(operation, manifest=replace(manifest, origin=FOUND)), site) == "not checked against a hub"
    files = tuple(replace(f, sha256="0" * 64) if f.sha256 else f for f in manifest.files)
    other = replace(manifest, files=files)
    with pytest.raises(OperationError) as caught:
        check_copy(replace(operation, manifest=other), site)
    said = caught.value.diagnostic
    assert (said.code, said.evidence) == (
        "copy-wrong",
        ("sub dir/it's.safetensors: has other content than its source",),
    )
    assert "fetched into `/cache`" in (said.hint or "")
    (known,) = copies(cache, tmp_path)
    assert judge(other, known) == "`sub dir/it's.safetensors` has other content than its source"


def test_a_flipped_bit_that_no_stamp_tells_is_found_by_reading_again(
    cache: Path, manifest: Manifest, transport: LocalTransport, tmp_path: Path
) -> None:
    (copy,) = copies(cache, tmp_path)
    read_copy(transport, reading(copy, manifest, tmp_path), silent)
    victim = (cache / "models--org--name" / "blobs" / sha256(BIG)).resolve()
    stamp = victim.stat()
    victim.chmod(0o644)
    victim.write_bytes(BIG[:-1] + bytes([BIG[-1] ^ 1]))
    os.utime(victim, (stamp.st_atime, stamp.st_mtime))
    (unaware,) = copies(cache, tmp_path)
    assert unaware.changed == ()
    watch = Watch("", "box", "check", lambda event: None)
    kept = KeptCopy("box", manifest.source, unaware, "whole")
    checked = check_again(transport, kept, watch, str(tmp_path))
    assert checked.wrong == {"sub dir/it's.safetensors": "has other content than when it was first read"}
    (aware,) = copies(cache, tmp_path)
    assert aware.changed == ("sub dir/it's.safetensors",)
    assert judge(manifest, aware) == "`sub dir/it's.safetensors` has other content than when it was first read"
    assert check_again(transport, replace(kept, copy=aware), watch, str(tmp_path)).wrong == checked.wrong


def test_plain_folders_and_links_that_lead_out_of_them(
    hub: Hub, manifest: Manifest, transport: LocalTransport, tmp_path: Path
) -> None:
    from huggingface_hub import hf_hub_download

    folder = tmp_path / "models" / "org" / "name"
    for name in FILES:
        hf_hub_download("org/name", name, local_dir=str(folder), endpoint=hub.url, token=False)
    (copy,) = copies(tmp_path / "models", tmp_path)
    assert set(copy.files) == set(FILES), "what tools keep beside it is hidden"
    assert wrong_files(manifest, read_copy(transport, reading(copy, manifest, tmp_path), silent)) == {}
    (folder / "m.safetensors").rename(tmp_path / "elsewhere")
    (folder / "m.safetensors").symlink_to(tmp_path / "elsewhere")
    (folder / "config.json").unlink()
    outcome = read_copy(transport, reading(copy, manifest, tmp_path, again=True), silent)
    assert wrong_files(manifest, outcome) == {
        "config.json": "is not there",
        "m.safetensors": "a link that leads out of the folder",
    }
    (folder / "config.json").write_bytes(FILES["config.json"])
    (copy,) = copies(tmp_path / "models", tmp_path)
    assert judge(manifest, copy) == f"`m.safetensors` is a link that leads out of `{folder}`"


def test_a_reading_that_is_stopped_goes_on_from_what_was_read(transport: LocalTransport, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "org" / "name"
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(b"a" * 1000)
    os.mkfifo(folder / "b")  # read for as long as nobody writes
    wanted = Reading(str(folder), str(folder), ("a", "b"), 1000, str(tmp_path))

    class Enough(Exception):
        pass

    def follow(count: int) -> None:
        if count >= 1000:
            raise Enough

    with pytest.raises(Enough):
        read_copy(transport, wanted, follow)
    (folder / "b").unlink()
    (folder / "b").write_bytes(b"b")
    assert f"{sha256(b'a' * 1000)} {git_id(b'a' * 1000)} 1000 " in Path(wanted.record).read_text()
    (folder / "a").chmod(0)
    outcome = read_copy(transport, wanted, silent)
    hashes = {name: (sha256(data), git_id(data)) for name, data in (("a", b"a" * 1000), ("b", b"b"))}
    assert (outcome.hashes, outcome.refused) == (hashes, {})


def test_a_record_that_cannot_be_written_is_said(transport: LocalTransport, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    (tmp_path / "a").write_bytes(b"a")
    wanted = Reading(str(tmp_path), str(tmp_path), ("a",), 1, str(tmp_path / "state"))
    with pytest.raises(OperationError) as caught:
        read_copy(transport, wanted, silent)
    assert caught.value.diagnostic.code == "state-dir-denied"
