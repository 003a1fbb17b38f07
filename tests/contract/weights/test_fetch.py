"""A host fetches weights itself: the real script, real shells and curl, and a hub that misbehaves."""

from __future__ import annotations

import base64
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deployer.errors import OperationError
from deployer.spec.language import Host
from deployer.spec.language.hosts import Proxy
from deployer.transport.local import LocalTransport
from deployer.values.secrets import Secret
from deployer.values.weights import Listing, Manifest
from deployer.weights.access import Access
from deployer.weights.huggingface import list_huggingface
from deployer.weights.script import Job, fetch_script
from deployer.weights.transfer import fetch
from tests.support.hub import PIECE, Hub, git_id, sha256
from tests.support.hub import hub as running_hub

BIG = bytes(random.Random(1).randbytes(600_000))
FILES = {"config.json": b'{"a": 1}', "sub dir/it's.safetensors": BIG, "model.safetensors": BIG[::-1], "empty.json": b""}


@pytest.fixture
def transport() -> Iterator[LocalTransport]:
    made = LocalTransport("box", Host.model_validate({"connection": "local"}))
    yield made
    made.close()


def manifest_of(hub: Hub, name: str = "org/name", token: str | None = None) -> Manifest:
    access = Access(hub.url, Secret(token) if token else None)
    found: Listing = list_huggingface(f"hf://{name}", None, access)
    return Manifest(found.source, found.revision, found.commit, found.files)


def job(hub: Hub, cache: Path, token: str | None = None, *, stall: int = 2, tries: int = 2) -> Job:
    tokens = {"hf": Secret(token)} if token else {}
    return Job(str(cache), manifest_of(hub, token=token), tokens, stall, tries)


def silent(word: str, count: int) -> None:
    pass


def is_whole(cache: Path, manifest: Manifest, files: dict[str, bytes] | None = None) -> None:
    """Everything is there under its own name, with its content, and nothing that is not."""
    snapshot = cache / manifest.snapshot
    found = {str(p.relative_to(snapshot)): p.read_bytes() for p in snapshot.rglob("*") if p.is_file()}
    assert sorted(found) == sorted(FILES if files is None else files)
    assert found == (FILES if files is None else files)
    assert [p.name for p in (cache / "manifests").iterdir()] == [manifest.id]
    assert not [*(cache / manifest.folder).rglob("*.part")]
    assert (cache / manifest.folder / "refs" / "main").read_text().strip() == manifest.commit


def test_a_model_arrives_in_the_hubs_own_layout(hub: Hub, transport: LocalTransport, tmp_path: Path) -> None:
    hub.repo("org/name", FILES)
    wanted = job(hub, tmp_path / "a cache")
    seen: list[tuple[str, int]] = []
    assert fetch(transport, wanted, lambda word, count: seen.append((word, count))) == sum(map(len, FILES.values()))
    is_whole(tmp_path / "a cache", wanted.manifest)
    blobs = {p.name for p in (tmp_path / "a cache" / "hub/models--org--name/blobs").iterdir()}
    assert blobs == {git_id(b'{"a": 1}'), git_id(b""), sha256(BIG), sha256(BIG[::-1])}
    assert seen
    from huggingface_hub import snapshot_download

    path = snapshot_download("org/name", cache_dir=str(tmp_path / "a cache" / "hub"), local_files_only=True)
    assert path == str(tmp_path / "a cache" / wanted.manifest.snapshot)


def test_what_is_there_is_not_fetched_again(hub: Hub, transport: LocalTransport, tmp_path: Path) -> None:
    hub.repo("org/name", FILES)
    fetch(transport, job(hub, tmp_path), silent)
    before = hub.total
    assert fetch(transport, job(hub, tmp_path), silent) == 0
    assert hub.total == before
    is_whole(tmp_path, manifest_of(hub))


def test_a_flipped_bit_and_a_cut_file_are_repaired_and_nothing_else(
    hub: Hub, transport: LocalTransport, tmp_path: Path
) -> None:
    hub.repo("org/name", FILES)
    fetch(transport, job(hub, tmp_path), silent)
    hub.served.clear()
    blob = tmp_path / "hub/models--org--name/blobs" / sha256(BIG)
    blob.write_bytes(BIG[:1000] + bytes([BIG[1000] ^ 4]) + BIG[1001:])
    small = tmp_path / "hub/models--org--name/blobs" / git_id(b'{"a": 1}')
    small.write_bytes(b"{}")
    assert fetch(transport, job(hub, tmp_path), silent) == len(BIG) + 8
    assert hub.served == {"it's.safetensors": len(BIG), "config.json": 8}
    is_whole(tmp_path, manifest_of(hub))


def test_a_connection_that_drops_goes_on_where_it_was(hub: Hub, transport: LocalTransport, tmp_path: Path) -> None:
    hub.repo("org/name", FILES)
    hub.faults.drop_after, hub.faults.drops = 100_000, 8
    fetch(transport, job(hub, tmp_path), silent)
    assert hub.total <= sum(map(len, FILES.values())) + 8 * 65_536  # what was on the way
    is_whole(tmp_path, manifest_of(hub))


def test_a_server_without_ranges_begins_anew(hub: Hub, transport: LocalTransport, tmp_path: Path) -> None:
    hub.repo("org/name", {"model.safetensors": BIG})
    hub.faults.drop_after, hub.faults.drops, hub.faults.ignore_ranges = 100_000, 1, True
    fetch(transport, job(hub, tmp_path), silent)
    is_whole(tmp_path, manifest_of(hub), {"model.safetensors": BIG})


def test_passing_refusals_are_borne(hub: Hub, transport: LocalTransport, tmp_path: Path) -> None:
    hub.repo("org/name", {"model.safetensors": BIG})
    hub.faults.statuses = [503]
    fetch(transport, job(hub, tmp_path), silent)
    is_whole(tmp_path, manifest_of(hub), {"model.safetensors": BIG})


@pytest.mark.parametrize(
    ("fault", "code"),
    [("flip", "wrong-hash"), ("stall", "fetch-stalled"), ("gone", "fetch-gone"), ("refused", "fetch-denied")],
)
def test_what_cannot_be_had_is_said_and_nothing_is_called_whole(
    hub: Hub, transport: LocalTransport, tmp_path: Path, fault: str, code: str
) -> None:
    hub.repo("org/name", FILES)
    wanted = job(hub, tmp_path, stall=1, tries=1)
    if fault in ("flip", "stall"):
        getattr(hub.faults, fault).add("model.safetensors")
    elif fault == "gone":
        hub.repos["org/name"].commits[wanted.manifest.commit].pop("model.safetensors")
    else:
        hub.repos["org/name"].token = "hf_other"
    with pytest.raises(OperationError) as caught:
        fetch(transport, wanted, silent)
    assert caught.value.diagnostic.code == code
    assert not [*(tmp_path / "manifests").glob(wanted.manifest.id)]
    assert not (tmp_path / wanted.manifest.snapshot / "model.safetensors").exists()
    hub.faults.stall.clear()


def test_the_token_reaches_the_hub_and_no_process_table(hub: Hub, transport: LocalTransport, tmp_path: Path) -> None:
    token = "hf_canary-" + "x" * 20
    hub.repo("org/name", FILES, token=token)
    hub.store = hub.url.replace("127.0.0.1", "localhost")  # another host, as the hub's own store is
    hub.faults.rate = 300_000
    wanted = job(hub, tmp_path, token=token)
    seen: list[str] = []

    def look(word: str, count: int) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    text = (process / name).read_bytes()
                except OSError:
                    continue
                if token.encode() in text:
                    seen.append(f"{process.name} {name}")

    fetch(transport, wanted, look)
    is_whole(tmp_path, wanted.manifest)
    assert seen == []
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and token.encode() in p.read_bytes()]
    assert hub.tokens
    assert not [path for path, _ in hub.tokens if path.startswith("/lfs/")]


def test_two_at_once_fetch_it_once(hub: Hub, transport: LocalTransport, tmp_path: Path) -> None:
    hub.repo("org/name", FILES)
    hub.faults.rate = 400_000
    words: list[str] = []
    wanted = job(hub, tmp_path, stall=10)
    threads = [
        threading.Thread(target=fetch, args=(transport, wanted, lambda word, count: words.append(word))) for _ in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hub.total == sum(map(len, FILES.values()))
    assert "waiting" in words
    is_whole(tmp_path, wanted.manifest)


def test_what_another_fetch_brought_is_not_read_again(hub: Hub, transport: LocalTransport, tmp_path: Path) -> None:
    """Each file has a hash that is wrong by now: whoever read one would fetch it anew."""
    hub.repo("org/name", FILES)
    wanted = replace(job(hub, tmp_path), trusts=True)
    assert fetch(transport, wanted, silent) == sum(map(len, FILES.values()))
    for blob in (tmp_path / wanted.manifest.folder / "blobs").iterdir():
        stamp = blob.stat()
        blob.write_bytes(blob.read_bytes()[::-1])
        os.utime(blob, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    before = hub.total
    assert fetch(transport, wanted, silent) == 0
    assert hub.total == before
    fetch(transport, replace(wanted, trusts=False), silent)
    is_whole(tmp_path, wanted.manifest)


@pytest.mark.parametrize("change", ["cut", "gone", "touched", "no manifest"])
def test_what_is_not_whole_by_size_and_time_is_read(
    hub: Hub, transport: LocalTransport, tmp_path: Path, change: str
) -> None:
    hub.repo("org/name", FILES)
    wanted = replace(job(hub, tmp_path), trusts=True)
    fetch(transport, wanted, silent)
    blob = tmp_path / wanted.manifest.folder / "blobs" / sha256(BIG)
    if change == "no manifest":
        (tmp_path / "manifests" / wanted.manifest.id).unlink()
    else:
        blob.write_bytes(BIG[:1000] if change == "cut" else BIG[::-1])
        os.utime(blob, (time.time() + 5,) * 2)
    if change == "gone":
        blob.unlink()
    before = hub.total
    fetch(transport, wanted, silent)
    is_whole(tmp_path, wanted.manifest)
    assert hub.total - before == (0 if change == "no manifest" else len(BIG))


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_every_shell_can(hub: Hub, tmp_path: Path, shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")
    hub.repo("org/name", FILES)
    wanted = replace(job(hub, tmp_path), trusts=True)
    argv = [program, "sh", "-s"] if shell == "busybox" else [program, "-s"]
    done = subprocess.run(argv, input=fetch_script(wanted), capture_output=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1].startswith(b"whole ")
    assert done.stderr == b""
    is_whole(tmp_path, wanted.manifest)
    done = subprocess.run(argv, input=fetch_script(wanted), capture_output=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == (b"whole 0\n", b"")


KILLED_AT_A_LINK = """\
#!/bin/sh
case "$*" in */snapshots/*) [ -e "$0.killed" ] || { : >"$0.killed" && kill -9 0; } ;; esac
exec /bin/mv "$@"
"""


def test_a_kill_before_a_file_has_its_name_leaves_nothing_beside_it(hub: Hub, tmp_path: Path) -> None:
    hub.repo("org/name", FILES)
    wanted = job(hub, tmp_path / "cache")
    killer = tmp_path / "bin" / "mv"
    killer.parent.mkdir()
    killer.write_text(KILLED_AT_A_LINK)
    killer.chmod(0o755)
    environment = os.environ | {"PATH": f"{killer.parent}:{os.environ['PATH']}"}

    def run() -> subprocess.CompletedProcess[bytes]:
        script = fetch_script(wanted)
        return subprocess.run(
            ["sh", "-s"], input=script, capture_output=True, timeout=60, env=environment, start_new_session=True
        )

    assert run().returncode == -signal.SIGKILL
    assert run().stdout.splitlines()[-1].startswith(b"whole ")
    is_whole(tmp_path / "cache", wanted.manifest)


@pytest.mark.parametrize("most", [10, pytest.param(60, marks=pytest.mark.heavy)])
def test_killed_at_any_moment_it_goes_on_from_there(hub: Hub, tmp_path: Path, most: int) -> None:
    """Kills of the whole process group: nothing is fetched twice but what was on the way."""
    chance = random.Random(7)
    hub.repo("org/name", FILES)
    hub.faults.rate = 500_000 if most == 10 else 100_000
    wanted = job(hub, tmp_path)
    kills = 0
    while kills < most:
        process = subprocess.Popen(
            ["sh", "-s"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        assert process.stdin is not None
        process.stdin.write(fetch_script(wanted))
        process.stdin.close()
        time.sleep(chance.uniform(0.05, 0.4))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        for path in (tmp_path / wanted.manifest.folder / "blobs").glob("*"):
            if path.suffix != ".part":
                data = path.read_bytes()
                assert path.name in (sha256(data), git_id(data)), "a file under its own name is whole"
    hub.faults.rate = None
    done = subprocess.run(["sh", "-s"], input=fetch_script(wanted), capture_output=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1].startswith(b"whole ")
    is_whole(tmp_path, wanted.manifest)
    on_the_way = 3 * 3 * PIECE  # for each of the files at once, what was sent and not yet written
    assert hub.total <= sum(map(len, FILES.values())) + kills * on_the_way


@pytest.fixture
def proxy(hub: Hub) -> Iterator[Hub]:
    """Gives what the hub has to whoever asks it for the hub's URLs."""
    with running_hub() as made:
        made.repos = hub.repos
        yield made


def test_a_host_fetches_through_its_proxy(hub: Hub, proxy: Hub, transport: LocalTransport, tmp_path: Path) -> None:
    hub.repo("org/name", FILES)
    way = Proxy(http=proxy.url.replace("://", "://me:word@"), no_proxy=(".lan", "10.0.0.0/8"))
    wanted = replace(job(hub, tmp_path), proxy=way)
    fetch(transport, wanted, silent)
    is_whole(tmp_path, wanted.manifest)
    assert (hub.served, proxy.total) == ({}, sum(map(len, FILES.values())))
    assert proxy.proxied == {"Basic " + base64.b64encode(b"me:word").decode()}


@pytest.mark.parametrize("entry", ["127.0.0.1", "127.0.0.0/8", "*"])
def test_what_needs_no_proxy_is_fetched_directly(
    hub: Hub, proxy: Hub, transport: LocalTransport, tmp_path: Path, entry: str
) -> None:
    hub.repo("org/name", FILES)
    wanted = replace(job(hub, tmp_path), proxy=Proxy(http=proxy.url, no_proxy=(entry,)))
    fetch(transport, wanted, silent)
    assert (proxy.served, hub.total) == ({}, sum(map(len, FILES.values())))


def test_small_files_that_come_together_are_each_checked(hub: Hub, transport: LocalTransport, tmp_path: Path) -> None:
    """One of them is wrong, and one is refused at first: the others do not suffer."""
    small = {f"part {number}.json": b"%d" % number * 50 for number in range(30)}
    hub.repo("org/name", small)
    wanted = job(hub, tmp_path)
    hub.faults.flip.add("part 7.json")
    hub.faults.statuses = [503]
    with pytest.raises(OperationError) as caught:
        fetch(transport, wanted, silent)
    assert caught.value.diagnostic.code == "wrong-hash"
    hub.faults.flip.clear()
    fetch(transport, wanted, silent)
    is_whole(tmp_path, wanted.manifest, small)
