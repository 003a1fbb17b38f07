"""Changes that the host holds against the lock: the script itself, run by this machine's shell before a fake engine."""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deployer.docker.calls import Refusal, engine_calls
from deployer.engine.context import ApplyContext, Site
from deployer.engine.guard import RunningMoved, digest_of
from deployer.engine.lock import Holder, HostLock
from deployer.engine.perform import Performer
from deployer.engine.secret_sources import SourceReader
from deployer.engine.secrets import SecretStore
from deployer.engine.watch import Watch
from deployer.errors import DockerError, OperationError
from deployer.values.container import ContainerSpec, ShippedFile
from deployer.values.names import ReplicaKey
from deployer.values.operations import CreateContainer, Operation, RemoveContainer, StartContainer, StopContainer
from tests.contract.operations.bench import IDENTITY, IMAGE, PROJECT, eventually, labels_for
from tests.support.fakeengine import FakeImage
from tests.support.fakehost import FakeHost

REVISION = "0123456789ab"
NAME = f"{PROJECT}_chat_0_{REVISION}"
SPEC = ContainerSpec(IMAGE, env={"QUOTES": 'it\'s "so"\n'}, files={"/opt/a": ShippedFile("aGVsbG8=")})
CREATE = CreateContainer(NAME, SPEC, labels_for(ReplicaKey("chat", 0), REVISION, SPEC))


@pytest.fixture
def host() -> Iterator[FakeHost]:
    found = FakeHost(gpus=("GPU-aaaa",))
    found.engine_state.images = {IMAGE: FakeImage("sha256:" + "0" * 64)}
    yield found
    found.close()


def lock(host: FakeHost, apply: str = "a1") -> HostLock:
    return HostLock(host, Holder(PROJECT, apply, f"who-{apply}"))


def context(apply: str = "a1") -> ApplyContext:
    return ApplyContext(PROJECT, IDENTITY, apply, SecretStore({}, SourceReader(Path("/"), {}), {}), is_locked=True)


def site(host: FakeHost, apply: str = "a1") -> Site:
    return Site(context(apply), host, Watch("s", "here", "x", lambda event: None))


def perform(host: FakeHost, operation: Operation, apply: str = "a1") -> str:
    return Performer(context(apply), {"here": host})("here", operation, Watch("s", "here", "x", lambda event: None))


def changes(host: FakeHost) -> list[str]:
    """What the engine was asked for but to look."""
    return [request for request in host.engine_state.requests if not request.startswith("GET")]


def test_a_container_lives_its_life(host: FakeHost) -> None:
    lock(host).take()
    perform(host, CREATE)
    made = host.engine_state.find(NAME)
    assert 'QUOTES=it\'s "so"\n' in made.body["Env"]
    assert made.files["/opt/a"][1] == b"hello"
    perform(host, StartContainer(NAME, None, "always"))
    assert made.is_live
    perform(host, StopContainer(NAME, None, 1.0))
    assert not made.is_live
    perform(host, RemoveContainer(NAME, None, 1.0))
    assert host.engine_state.containers == {}


def test_what_the_engine_refuses_is_told_as_ever(host: FakeHost) -> None:
    lock(host).take()
    with pytest.raises(Refusal) as caught, engine_calls("here"):
        site(host).changing().start("nobody")
    assert caught.value.status == 404
    assert "nobody" in caught.value.text


def test_who_has_no_lock_changes_nothing(host: FakeHost) -> None:
    with pytest.raises(OperationError) as caught:
        perform(host, CREATE)
    assert caught.value.diagnostic.code == "lock-lost"
    assert changes(host) == []


@pytest.mark.parametrize(
    "plant",
    [
        lambda path: path.unlink(),
        lambda path: path.write_text("{}"),
        lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
def test_nor_does_who_lost_it(host: FakeHost, plant: Callable[[Path], object]) -> None:
    lock(host).take()
    plant(host.state_dir / PROJECT / "lock")
    with pytest.raises(OperationError):
        perform(host, CREATE)
    assert changes(host) == []


def test_who_was_taken_over_changes_nothing_and_the_new_one_does(host: FakeHost) -> None:
    lock(host).take()
    perform(host, CREATE)
    seen = lock(host, "a2").look()
    assert seen is not None
    assert lock(host, "a2").take(seen) is None
    before = changes(host)
    for operation in (StartContainer(NAME, None, "no"), RemoveContainer(NAME, None, 1.0)):
        with pytest.raises(OperationError):
            perform(host, operation, "a1")
    assert changes(host) == before
    perform(host, RemoveContainer(NAME, host.engine_state.find(NAME).id, 1.0), "a2")
    assert host.engine_state.containers == {}


def test_a_change_that_has_begun_is_waited_for(host: FakeHost) -> None:
    """Whoever takes the lock over comes after it, and not in the middle of it."""
    lock(host).take()
    seen, client, order = lock(host).look(), site(host).changing(), list[str]()

    def change() -> None:
        client.create_container_from_config({"Image": IMAGE}, name="x")
        order.append("changed")

    def take_over() -> None:
        assert lock(host, "a2").take(seen) is None
        order.append("taken over")

    threads = [threading.Thread(target=change), threading.Thread(target=take_over)]
    with host.engine_state.lock:  # the engine is busy
        threads[0].start()
        eventually(lambda: changes(host))
        threads[1].start()
    for thread in threads:
        thread.join(30)
    assert sorted(order) == ["changed", "taken over"]
    with pytest.raises(OperationError):
        client.start("x")


def test_an_engine_that_is_away_is_a_lost_one(host: FakeHost) -> None:
    lock(host).take()
    client = site(host).changing()
    socket = Path(host.host.docker.socket)
    socket.rename(socket.with_name("away"))
    with pytest.raises(DockerError) as caught, engine_calls("here"):
        client.start("x")
    assert caught.value.diagnostic.code == "engine-lost"


def test_a_change_is_made_only_beside_what_it_was_decided_by(host: FakeHost) -> None:
    lock(host).take()
    perform(host, CREATE)
    id_ = host.engine_state.find(NAME).id
    nobody = replace(site(host), running=frozenset())
    host.docker().start(host.docker().create_container_from_config({"Image": IMAGE}, name="other")["Id"])
    with pytest.raises(RunningMoved):
        nobody.changing().start(id_)
    assert not host.engine_state.find(NAME).is_live
    others = frozenset({host.engine_state.find("other").id})
    replace(site(host), running=others).changing().start(id_)
    assert host.engine_state.find(NAME).is_live


def test_nobody_who_holds_the_state_directory_keeps_a_start_back(host: FakeHost) -> None:
    """Any user of the host can: it is to be read by all."""
    lock(host).take()
    perform(host, CREATE)
    directory = os.open(host.state_dir, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        replace(site(host), running=frozenset()).changing().start(NAME)
    finally:
        os.close(directory)
    assert host.engine_state.find(NAME).is_live
    assert stat.S_IMODE((host.state_dir / "start.lock").stat().st_mode) == 0o600


@pytest.mark.parametrize("plant", [lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir()])
def test_nor_does_what_was_planted_for_that(host: FakeHost, plant: Callable[[Path], object]) -> None:
    lock(host).take()
    perform(host, CREATE)
    plant(host.state_dir / "start.lock")
    replace(site(host), running=frozenset()).changing().start(NAME)
    assert host.engine_state.find(NAME).is_live


@pytest.mark.parametrize("running", [None, frozenset[str]()])
def test_a_curl_that_knows_no_sockets_is_none(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, running: frozenset[str] | None
) -> None:
    lock(host).take()
    perform(host, CREATE)
    program = tmp_path / "curl"
    program.write_text("#!/bin/sh\necho 'curl: option --unix-socket: is unknown' >&2\nexit 2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    replace(site(host), running=running).changing().start(NAME)
    assert host.engine_state.find(NAME).is_live


def test_the_digest_knows_no_order() -> None:
    assert digest_of(["b", "a", "a"]) == digest_of(["a", "b"]) != digest_of(["a"])
