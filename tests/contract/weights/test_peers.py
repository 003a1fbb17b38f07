"""Hosts pass weights on while they arrive: the real scripts of both ends, real curl, and peers that die or lie."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deployer.spec.language import Host
from deployer.transport.local import LocalTransport
from deployer.values.secrets import Secret
from deployer.values.weights import Manifest
from deployer.weights import serving
from deployer.weights.access import Access
from deployer.weights.huggingface import list_huggingface
from deployer.weights.script import Job, Peer
from deployer.weights.serving import parse_ground, served_folder, told
from deployer.weights.transfer import fetch
from tests.support.hub import Hub

BIG = random.Random(9).randbytes(1_500_000)
FILES = {"config.json": b"{}", "a/model.safetensors": BIG, "model.safetensors": BIG[::-1], "empty.json": b""}
SIZE = sum(map(len, FILES.values()))
TOKEN = "t0ken-" + "y" * 30
SCRIPT = Path(serving.__file__).with_name("serve.sh")


@dataclass
class Server:
    """What serves on one host, without its container."""

    host: str
    cache: Path
    manifest: Manifest
    shell: tuple[str, ...] = ("sh",)
    settings: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Server:
        blobs = served_folder(str(self.cache), self.manifest)
        Path(blobs).mkdir(parents=True, exist_ok=True)
        run = self.cache.with_name(self.cache.name + ".run")
        run.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        about = {"PORT": str(self.port), "BLOBS": blobs, "RUN": str(run), "IDLE": "600", "WAIT": "1"}
        environment = {"PATH": "/usr/bin:/bin", **about, **self.settings}
        argv = [*self.shell, str(SCRIPT), "listen"]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, env=environment, start_new_session=True)
        assert self.process.stdin is not None
        self.process.stdin.write(told(self.manifest, Secret(TOKEN)))
        self.process.stdin.flush()
        eventually(self.listens)
        return self

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __exit__(self, *args: object) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def peer(self) -> Peer:
        return Peer(self.host, f"http://127.0.0.1:{self.port}", Secret(TOKEN))

    def ask(self, path: str, token: str | None = TOKEN, first: int | None = None) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {"Range": f"bytes={first}-"} if first is not None else {}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, b""


def eventually(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.05)


@pytest.fixture
def transport() -> Iterator[LocalTransport]:
    made = LocalTransport("box", Host.model_validate({"connection": "local"}))
    yield made
    made.close()


@pytest.fixture
def manifest(hub: Hub) -> Manifest:
    hub.repo("org/name", FILES)
    found = list_huggingface("hf://org/name", None, Access(hub.url))
    return Manifest(found.source, found.revision, found.commit, found.files)


def job(cache: Path, manifest: Manifest, *servers: Server) -> Job:
    return Job(str(cache), manifest, stall=4, tries=2, peers=tuple(server.peer for server in servers))


def silent(word: str, count: int) -> None:
    pass


def is_whole(cache: Path, manifest: Manifest) -> bool:
    snapshot = cache / manifest.snapshot
    found = {str(p.relative_to(snapshot)): p.read_bytes() for p in snapshot.rglob("*") if p.is_file()}
    return found == FILES and (cache / "manifests" / manifest.id).exists()


class Fetching(threading.Thread):
    """A fetch of its own thread; `left`: peers that it gave up."""

    def __init__(self, transport: LocalTransport, wanted: Job) -> None:
        super().__init__(daemon=True)
        self.left: list[int] = []
        self.failure: Exception | None = None
        self._transport, self._job = transport, wanted
        self.start()

    def run(self) -> None:
        def follow(word: str, count: int) -> None:
            if word == "left":
                self.left.append(count)

        try:
            fetch(self._transport, self._job, follow)
        except Exception as error:
            self.failure = error

    def must_end(self) -> None:
        self.join(60)
        assert not self.is_alive()
        assert self.failure is None


@pytest.mark.parametrize("listener", ["perl", "python3", "systemd-socket-activate"])
@pytest.mark.parametrize("shell", ["dash", "busybox"])
def test_a_file_is_given_from_any_byte_to_who_knows_the_token(
    hub: Hub, transport: LocalTransport, manifest: Manifest, tmp_path: Path, listener: str, shell: str
) -> None:
    if not shutil.which(listener, path="/usr/bin:/bin") or not shutil.which(shell):
        pytest.skip(f"no {listener} or no {shell} here")
    fetch(transport, job(tmp_path / "a", manifest), silent)
    large = next(file for file in manifest.files if file.path == "model.safetensors")
    words = ("busybox", "sh") if shell == "busybox" else (shell,)
    with Server("a", tmp_path / "a", manifest, words, {"LISTENERS": listener}) as server:
        assert server.ask(f"/{large.blob}") == (200, BIG[::-1])
        assert server.ask(f"/{large.blob}", first=1_400_001) == (206, BIG[::-1][1_400_001:])
        assert server.ask(f"/{large.blob}", first=len(BIG)) == (416, b"")
        for token in (None, "", TOKEN[:-1], f"{TOKEN}x"):
            assert server.ask(f"/{large.blob}", token) == (403, b"")
        for path in ("/", "/../manifests", f"/{manifest.id}", f"/{large.blob}.part", "/" + "0" * 64, "/%2e%2e"):
            assert server.ask(path)[0] == 404


def test_what_is_no_manifest_file_is_not_given(manifest: Manifest, tmp_path: Path) -> None:
    with Server("a", tmp_path / "a", manifest) as server:
        Path(served_folder(str(tmp_path / "a"), manifest), "0a0b").write_bytes(b"another model's")
        assert server.ask("/0a0b") == (404, b"")


def test_it_ends_with_whoever_asked_for_it(manifest: Manifest, tmp_path: Path) -> None:
    with Server("a", tmp_path / "a", manifest) as server:
        assert server.process.stdin is not None
        server.process.stdin.close()
        assert server.process.wait(10) == 0
        eventually(lambda: not server.listens())


def test_it_ends_when_nobody_asks(manifest: Manifest, tmp_path: Path) -> None:
    with Server("a", tmp_path / "a", manifest, settings={"IDLE": "0"}) as server:
        server.process.wait(20)
        eventually(lambda: not server.listens())


def test_a_row_of_hosts_reads_the_source_once(
    hub: Hub, transport: LocalTransport, manifest: Manifest, tmp_path: Path
) -> None:
    """All begin at once: what one has so far goes on to the next."""
    hub.faults.rate = 500_000
    with Server("a", tmp_path / "a", manifest) as first, Server("b", tmp_path / "b", manifest) as second:
        fetches = [
            Fetching(transport, job(tmp_path / "c", manifest, second, first)),
            Fetching(transport, job(tmp_path / "b", manifest, first)),
            Fetching(transport, job(tmp_path / "a", manifest)),
        ]
        eventually(lambda: any((tmp_path / "c").rglob("*.part")))
        assert hub.total < SIZE, "it is passed on while it arrives"
        for fetching in fetches:
            fetching.must_end()
    assert hub.total == SIZE
    assert [fetching.left for fetching in fetches] == [[], [], []]
    assert all(is_whole(tmp_path / name, manifest) for name in "abc")


def test_a_middle_host_that_dies_is_passed_over(
    hub: Hub, transport: LocalTransport, manifest: Manifest, tmp_path: Path
) -> None:
    hub.faults.rate = 400_000
    with Server("a", tmp_path / "a", manifest) as first, Server("b", tmp_path / "b", manifest) as second:
        seed = Fetching(transport, job(tmp_path / "a", manifest))
        last = Fetching(transport, job(tmp_path / "c", manifest, second, first))
        middle = subprocess.Popen(
            ["sh", "-s"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        assert middle.stdin is not None
        from deployer.weights.script import fetch_script

        middle.stdin.write(fetch_script(job(tmp_path / "b", manifest, first)))
        middle.stdin.close()
        eventually(lambda: any(p.stat().st_size > 100_000 for p in (tmp_path / "c").rglob("*.part")))
        os.killpg(middle.pid, signal.SIGKILL)
        middle.wait()
        second.kill()
        last.must_end()
        seed.must_end()
    assert last.left == [1]
    assert hub.total == SIZE
    assert is_whole(tmp_path / "c", manifest)


def test_without_its_peers_a_host_goes_on_at_the_source(
    hub: Hub, transport: LocalTransport, manifest: Manifest, tmp_path: Path
) -> None:
    """Refused, as by a firewall that says so; what came before stays."""
    large = next(file for file in manifest.files if file.path == "model.safetensors")
    with Server("a", tmp_path / "a", manifest) as gone:
        gone.kill()
        part = tmp_path / "b" / manifest.folder / "blobs" / f"{large.blob}.part"
        part.parent.mkdir(parents=True)
        part.write_bytes(BIG[::-1][:1_000_000])
        last = Fetching(transport, job(tmp_path / "b", manifest, gone))
        last.must_end()
    assert last.left == [1], "it is said once, not for each file"
    assert hub.total == SIZE - 1_000_000
    assert is_whole(tmp_path / "b", manifest)


def test_what_a_peer_gives_is_checked(hub: Hub, transport: LocalTransport, manifest: Manifest, tmp_path: Path) -> None:
    fetch(transport, job(tmp_path / "a", manifest), silent)
    large = next(file for file in manifest.files if file.path == "model.safetensors")
    blob = tmp_path / "a" / manifest.folder / "blobs" / large.blob
    blob.write_bytes(bytes([BIG[-1] ^ 1]) + BIG[::-1][1:])
    hub.served.clear()
    with Server("a", tmp_path / "a", manifest) as liar:
        fetch(transport, job(tmp_path / "b", manifest, liar), silent)
    assert hub.served == {"model.safetensors": len(BIG)}, "the rest is right"
    assert is_whole(tmp_path / "b", manifest)


def test_the_token_is_in_no_process_table_and_no_cache(
    hub: Hub, transport: LocalTransport, manifest: Manifest, tmp_path: Path
) -> None:
    fetch(transport, job(tmp_path / "a", manifest), silent)
    seen: list[str] = []

    def look(word: str, count: int) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    text = (process / name).read_bytes()
                except OSError:
                    continue
                if TOKEN.encode() in text:
                    seen.append(f"{process.name} {name}")

    with Server("a", tmp_path / "a", manifest) as server:
        fetch(transport, job(tmp_path / "b", manifest, server), look)
    assert seen == []
    assert not [p for p in (tmp_path / "b").rglob("*") if p.is_file() and TOKEN.encode() in p.read_bytes()]
    assert [path for path, _ in hub.tokens] == []


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("address 10.0.0.11\nplace /usr\nplace /lib\n", "10.0.0.11"),
        ("address ::ffff:10.0.0.11\n", "10.0.0.11"),
        ("address fe80::1%eth0\n", "fe80::1"),
        ("address 127.0.0.1\n", ""),
        ("address ::1\n", ""),
        ("address \n", ""),
        ("address $(reboot)\n", ""),
        ("", ""),
    ],
)
def test_only_an_address_that_others_reach_is_one(said: str, address: str) -> None:
    assert parse_ground(said.encode()).address == address


@pytest.fixture
def powerless() -> tuple[str, ...]:
    """A shell that reads no more than modes of files allow."""
    if os.geteuid() != 0:
        return ("sh",)
    if not shutil.which("setpriv"):
        pytest.skip("no setpriv here")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "sh")


@pytest.mark.parametrize("name", ["", ".part"])
def test_what_it_may_not_read_it_does_not_have(
    manifest: Manifest, tmp_path: Path, powerless: tuple[str, ...], name: str
) -> None:
    large = next(file for file in manifest.files if file.path == "model.safetensors")
    with Server("a", tmp_path / "a", manifest, powerless, {"WAIT": "600"}) as server:
        blob = Path(served_folder(str(tmp_path / "a"), manifest), large.blob + name)
        blob.write_bytes(BIG)
        blob.chmod(0)
        assert server.ask(f"/{large.blob}") == (404, b"")


def test_no_head_is_read_without_an_end(manifest: Manifest, tmp_path: Path) -> None:
    """What comes after too many lines counts for nothing."""
    late = f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()
    with Server("a", tmp_path / "a", manifest) as server:
        for lines, status in ((10, b"404"), (1000, b"403")):
            with socket.create_connection(("127.0.0.1", server.port), 20) as asking:
                asking.sendall(b"GET / HTTP/1.1\r\n" + b"X-Line: 1234567\r\n" * lines + late)
                assert asking.recv(100).split()[1] == status


def test_it_stays_while_it_is_said_to_be_wanted(manifest: Manifest, tmp_path: Path) -> None:
    """And a question without the token is none."""
    with Server("a", tmp_path / "a", manifest, settings={"IDLE": "9999999999"}) as server:
        alive = tmp_path / "a.run" / "alive"
        os.utime(alive, (1, 1))
        assert server.ask("/", None) == (403, b"")
        assert alive.stat().st_mtime == 1
        assert server.process.stdin is not None
        server.process.stdin.write(b"\n")
        server.process.stdin.flush()
        eventually(lambda: alive.stat().st_mtime > 1)
