"""The lease's script, run by this machine's own shell in a temporary directory, and the leases made of it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployer.engine.lease import Leases, LockWait, acquire
from deployer.engine.lock import LEASE, Held, Holder, HostLock, parse_held
from deployer.errors import Diagnostic, HostError, OperationError, RefusedError, UnreachableError
from deployer.spec.language import Host
from deployer.transport.base import Completed
from deployer.transport.local import LocalTransport
from deployer.values.events import Note
from deployer.values.names import STATE_DIR


def host(name: str = "here") -> LocalTransport:
    return LocalTransport(name, Host.model_validate({"connection": "local"}))


def holder(apply: str = "a1", who: str = "ops@lap\"top' $(id) pid 1") -> Holder:
    return Holder("lab", apply, who)


def lock(directory: Path, apply: str = "a1") -> HostLock:
    return HostLock(host(), holder(apply), str(directory))


def file(directory: Path) -> Path:
    return directory / "lab" / "lock"


def test_a_lock_is_taken_once(tmp_path: Path) -> None:
    assert lock(tmp_path).take() is None
    held = lock(tmp_path, "a2").take()
    assert held is not None
    assert held.who == holder().who
    assert held.since.endswith("Z")
    assert LEASE - 5 < held.remains <= LEASE
    assert lock(tmp_path).take() is None, "ours may be taken again"
    assert set(json.loads(file(tmp_path).read_text())) == {"holder", "apply", "since", "expires", "boot", "until"}


def test_many_take_it_and_one_gets_it(tmp_path: Path) -> None:
    results: list[Held | None] = []
    threads = [threading.Thread(target=lambda n=n: results.append(lock(tmp_path, f"a{n}").take())) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count(None) == 1
    assert not list(tmp_path.rglob("*.new.*"))


def test_renewing_and_releasing_is_for_the_holder(tmp_path: Path) -> None:
    mine, theirs = lock(tmp_path), lock(tmp_path, "a2")
    mine.take()
    before = file(tmp_path).read_text()
    assert mine.renew()
    assert not theirs.renew()
    theirs.release()
    assert json.loads(file(tmp_path).read_text())["since"] == json.loads(before)["since"]
    mine.release()
    assert not file(tmp_path).exists()
    assert not mine.renew()
    assert theirs.take() is None


def test_a_lock_that_was_given_back_leaves_room_for_the_next(tmp_path: Path) -> None:
    lock(tmp_path).take()
    inode = file(tmp_path).stat().st_ino
    lock(tmp_path).release()
    spare = tmp_path / "lab" / "lock.spare"
    assert not file(tmp_path).exists()
    assert (spare.name, spare.stat().st_ino, spare.stat().st_size) == ("lock.spare", inode, 1024)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_keeps_nobody_out_who_was_there_before(tmp_path: Path) -> None:
    with small_disk(tmp_path):
        lock(tmp_path).take()
        lock(tmp_path).release()
        fill(tmp_path)
        assert lock(tmp_path, "a2").take() is None
        assert json.loads(file(tmp_path).read_text())["apply"] == "a2"
        assert lock(tmp_path, "a2").renew()
        assert lock(tmp_path, "a3").take() is not None
        lock(tmp_path, "a2").release()
        assert not file(tmp_path).exists()
        assert lock(tmp_path, "a3").take() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_is_named_to_who_comes_first(tmp_path: Path) -> None:
    with small_disk(tmp_path):
        (tmp_path / "lab").mkdir()
        fill(tmp_path)
        with pytest.raises(HostError) as caught:
            lock(tmp_path).take()
        assert caught.value.diagnostic.code == "disk-full"
        assert not file(tmp_path).exists()
        assert not list(tmp_path.rglob("*.new.*"))


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(directory)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def fill(directory: Path) -> None:
    with contextlib.suppress(OSError), (directory / "filler").open("wb", buffering=0) as filler:
        while filler.write(b"x" * 1024):
            pass


def test_a_lease_that_ran_out_is_taken_over_by_one(tmp_path: Path) -> None:
    lock(tmp_path).take()
    edit(tmp_path, until=str(uptime()))
    seen = [lock(tmp_path, f"b{n}").take() for n in range(3)]
    assert all(held is not None and held.remains == 0 for held in seen)
    assert lock(tmp_path, "b0").take(seen[0]) is None
    assert lock(tmp_path, "b1").take(seen[1]) is not None, "what b1 saw is no longer there"
    assert not lock(tmp_path).renew()


@pytest.mark.parametrize(
    "plant",
    [
        lambda path: path.write_bytes(b"\0\xffgarbage" * 1000),
        lambda path: path.write_text(""),
        lambda path: path.mkdir(),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: os.mkfifo(path),
        lambda path: path.write_text('{"expires": "9999-12-31T23:59:59Z", "holder": ["x"], "apply": 3}'),
    ],
)
def test_what_was_planted_is_no_denial(tmp_path: Path, plant: Callable[[Path], object]) -> None:
    file(tmp_path).parent.mkdir()
    plant(file(tmp_path))
    held = lock(tmp_path).take()
    assert held is not None
    assert held.remains > 0
    os.utime(file(tmp_path), (1, 1), follow_symlinks=False)
    later = lock(tmp_path).take()
    assert later is not None
    assert later.remains == 0
    assert lock(tmp_path).take(later) is None
    assert lock(tmp_path).renew()


def edit(directory: Path, **fields: str | None) -> None:
    """The lock that stands there, with these fields (None: without them)."""
    text = json.loads(file(directory).read_text()) | fields
    kept = {key: value for key, value in text.items() if value is not None}
    file(directory).write_text(json.dumps(kept, separators=(",", ":")))


def uptime() -> int:
    return int(float(Path("/proc/uptime").read_text().split()[0]))


class OtherDate(LocalTransport):
    """A host whose clock was set by so many seconds since."""

    def __init__(self, directory: Path, seconds: int) -> None:
        super().__init__("here", Host.model_validate({"connection": "local"}))
        program = directory / "bin" / "date"
        program.parent.mkdir()
        stepped = f'[ "$*" = +%s ] && exec /bin/date -d "{seconds} seconds" +%s'
        program.write_text(f'#!/bin/sh\n{stepped}\nexec /bin/date "$@"\n')
        program.chmod(0o755)
        self.path = f"{program.parent}:{os.environ['PATH']}"

    def run(self, argv, *, stdin=b"", timeout=60.0):  # type: ignore[no-untyped-def]
        return super().run(["env", f"PATH={self.path}", *argv], stdin=stdin, timeout=timeout)


@pytest.mark.parametrize("seconds", [-4_000_000, -90, 90, 4_000_000])
def test_a_clock_that_was_set_frees_no_lease_and_makes_none_eternal(tmp_path: Path, seconds: int) -> None:
    lock(tmp_path).take()
    later = HostLock(OtherDate(tmp_path, seconds), holder("a2"), str(tmp_path))
    held = later.take()
    assert held is not None
    assert LEASE - 10 < held.remains <= LEASE
    edit(tmp_path, until=str(uptime()))
    over = later.take()
    assert over is not None
    assert over.remains == 0


@pytest.mark.parametrize("until", ["99999999999", "999999999999999999999", str(1 << 40)])
def test_a_lease_that_was_planted_for_ever_counts_for_nothing(tmp_path: Path, until: str) -> None:
    lock(tmp_path).take()
    edit(tmp_path, until=until, expires="9999-12-31T23:59:59Z")
    os.utime(file(tmp_path), (1, 1))
    held = lock(tmp_path, "a2").take()
    assert held is not None
    assert held.remains == 0


@pytest.mark.parametrize(("up", "remains"), [(5, LEASE - 5), (LEASE, 0), (100_000, 0)])
def test_a_lease_of_before_the_last_start_counts_for_one_lease_from_there(up: int, remains: int) -> None:
    content = b'{"apply":"a1","boot":"before","until":"90000","expires":"9999-12-31T23:59:59Z"}'
    assert parse_held(b"held 4000000000 4000000000 c1 %d now\n%s" % (up, content)).remains == remains


def test_a_lease_of_an_earlier_version_ends_by_date(tmp_path: Path) -> None:
    lock(tmp_path).take()
    edit(tmp_path, boot=None, until=None)
    held = lock(tmp_path, "a2").take()
    assert held is not None
    assert LEASE - 10 < held.remains <= LEASE
    edit(tmp_path, expires="2020-01-01T00:00:00Z")
    over = lock(tmp_path, "a2").take()
    assert over is not None
    assert over.remains == 0


def test_what_a_dead_writer_left_half_goes(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    for name in ("lock.new.1", "hosts.new.7"):
        (tmp_path / "lab" / name).write_text("hal")
    lock(tmp_path).take()
    assert not list(tmp_path.rglob("*.new.*"))


@pytest.mark.parametrize("name", ["lock.turn", "lock.changes"])
@pytest.mark.parametrize("plant", [lambda p: p.mkdir(), lambda p: os.mkfifo(p), lambda p: p.symlink_to("/nowhere")])
def test_what_was_planted_beside_it_is_no_denial(tmp_path: Path, name: str, plant: Callable[[Path], object]) -> None:
    (tmp_path / "lab").mkdir()
    plant(tmp_path / "lab" / name)
    assert lock(tmp_path).take() is None
    assert (tmp_path / "lab" / name).stat().st_mode & 0o777 == 0o600


def test_a_lock_from_the_future_counts_for_nothing(tmp_path: Path) -> None:
    lock(tmp_path).take()
    edit(tmp_path, boot=None, until=None)
    os.utime(file(tmp_path), (4e9, 4e9))
    held = lock(tmp_path, "a2").take()
    assert held is not None
    assert held.remains == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(HostError) as caught:
        lock(tmp_path).take()
    assert caught.value.diagnostic.code == "state-dir-denied"


def test_a_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "lab").write_text("in the way")
    with pytest.raises(HostError) as caught:
        lock(tmp_path).take()
    found = caught.value.diagnostic
    assert found.code == "state-dir-denied"
    assert found.hint
    assert "sudo install -d -o $USER /var/lib/deployer" in found.hint
    assert found.evidence


@pytest.mark.parametrize(
    "answer", [b"held", b"held x y", b"held 1 2 c9\n" + b"[" * 9000, b"held " + b"9" * 30 + b" 1 c"]
)
def test_odd_answers_are_parsed(answer: bytes) -> None:
    assert parse_held(answer).who == "somebody"


# --- leases ----------------------------------------------------------------------------


class Clock:
    """Seconds that pass only by `pause`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.then: Callable[[], object] = lambda: None

    def pause(self, seconds: float) -> None:
        self.now += seconds
        self.then()

    def __call__(self) -> float:
        return self.now


def leases(directory: Path, *hosts: str, apply: str = "a1", wait: LockWait | None = None) -> Leases:
    made = Leases(
        {name: host(name) for name in hosts}, holder(apply, f"who-{apply}"), wait or LockWait(), str(directory)
    )
    made.take_all(hosts)
    return made


def directories(tmp_path: Path) -> list[Path]:
    return sorted(tmp_path.rglob("lock"))


def test_leases_are_taken_and_given_back(tmp_path: Path) -> None:
    with leases(tmp_path, "a") as held:
        held.fence("a")
        assert directories(tmp_path)
        with pytest.raises(OperationError) as caught:
            held.fence("b")
        assert caught.value.diagnostic.code == "lock-lost"
    assert not directories(tmp_path)


def test_a_second_apply_is_refused_and_told_for_whom(tmp_path: Path) -> None:
    with leases(tmp_path, "a"), pytest.raises(RefusedError) as caught:
        leases(tmp_path, "a", apply="a2")
    assert "by who-a1 since 20" in caught.value.diagnostics[0].message


def test_a_second_apply_waits_and_says_so(tmp_path: Path) -> None:
    first, clock, notes = leases(tmp_path, "a"), Clock(), list[Note]()

    def give_back() -> None:
        if clock.now > 25:
            first.release()

    clock.then = give_back
    wait = LockWait(60, notes.append, clock.pause, clock)
    with leases(tmp_path, "a", apply="a2", wait=wait) as second:
        assert second.hosts == ("a",)
    assert 25 < clock.now < 35
    assert [note.host for note in notes] == ["a", "a", "a"]
    assert "who-a1" in notes[0].what


def test_a_lock_that_never_changes_is_dead_whatever_its_clock_says(tmp_path: Path) -> None:
    lock(tmp_path).take()
    clock = Clock()
    with leases(tmp_path, "a", apply="a2", wait=LockWait(300, pause=clock.pause, clock=clock)):
        assert LEASE < clock.now < 2 * LEASE


def test_a_lock_that_is_renewed_is_waited_for_until_the_time_is_up(tmp_path: Path) -> None:
    first, clock = lock(tmp_path), Clock()
    first.take()

    def renew() -> None:
        text = json.loads(file(tmp_path).read_text())
        file(tmp_path).write_text(json.dumps(text | {"beat": clock.now}, separators=(",", ":")))

    clock.then = renew
    with pytest.raises(RefusedError):
        leases(tmp_path, "a", apply="a2", wait=LockWait(90, pause=clock.pause, clock=clock))
    assert clock.now >= 90


def test_one_host_that_is_taken_gives_all_others_back(tmp_path: Path) -> None:
    transports = {name: Moved(name, tmp_path / name) for name in "abc"}
    HostLock(transports["b"], holder("other"), "/state").take()
    with pytest.raises(RefusedError):
        Leases(transports, holder(), LockWait(), "/state").take_all("abc")
    assert [path.parts[-4] for path in directories(tmp_path)] == ["b"]


def test_a_lease_that_somebody_took_over_fences_the_host(tmp_path: Path) -> None:
    held = leases(tmp_path, "a")
    file(tmp_path).write_text('{"apply":"a9"}')
    held._renew("a")
    with pytest.raises(OperationError) as caught:
        held.fence("a")
    assert "another apply" in caught.value.diagnostic.message
    held.release()
    assert file(tmp_path).read_text() == '{"apply":"a9"}'


def test_a_lease_that_was_not_renewed_in_time_fences_the_host(tmp_path: Path) -> None:
    clock = Clock()
    with leases(tmp_path, "a", wait=LockWait(pause=clock.pause, clock=clock)) as held:
        held.fence("a")
        clock.now += LEASE + 1
        held.fence("a")  # nobody took it over, so it is ours again
        clock.now += LEASE + 1
        file(tmp_path).parent.rename(tmp_path / "gone")
        with pytest.raises(OperationError):
            held.fence("a")
        (tmp_path / "gone").rename(file(tmp_path).parent)


class Away(LocalTransport):
    """A host whose connection is lost from time to time."""

    def __init__(self, name: str) -> None:
        super().__init__(name, Host.model_validate({"connection": "local"}))
        self.is_away = False

    def run(self, argv, *, stdin=b"", timeout=60.0):  # type: ignore[no-untyped-def]
        if self.is_away:
            raise UnreachableError(Diagnostic("connection-lost", "the connection was lost", host=self.name))
        return super().run(argv, stdin=stdin, timeout=timeout)


def test_an_old_lease_on_a_host_that_is_away_is_not_said_to_be_lost(tmp_path: Path) -> None:
    host, clock = Away("a"), Clock()
    with Leases({"a": host}, holder(), LockWait(pause=clock.pause, clock=clock), str(tmp_path)) as held:
        held.take_all("a")
        clock.now += LEASE + 1
        host.is_away = True
        with pytest.raises(UnreachableError):
            held.fence("a")
        host.is_away = False
        held.fence("a")


class Hanging(LocalTransport):
    """A host that does not answer before it is told to."""

    def __init__(self, name: str) -> None:
        super().__init__(name, Host.model_validate({"connection": "local"}))
        self.hangs, self.asked, self.goes_on = False, threading.Event(), threading.Event()

    def run(self, argv, *, stdin=b"", timeout=60.0):  # type: ignore[no-untyped-def]
        if self.hangs:
            self.asked.set()
            self.goes_on.wait(10)
        return super().run(argv, stdin=stdin, timeout=timeout)


def test_a_host_that_hangs_costs_no_other_its_lease(tmp_path: Path) -> None:
    sick, well, clock = Hanging("a"), Hanging("b"), Clock()
    wait = LockWait(pause=clock.pause, clock=clock)
    with Leases({"a": sick, "b": well}, holder(), wait, str(tmp_path)) as held:
        held.take_all("ab")
        sick.hangs = True
        for _ in range(4):
            clock.now += LEASE / 3
            held.renew_all()
            assert sick.asked.wait(10)
            eventually_renewed(held, "b", clock.now)
        held.fence("b")
        sick.hangs = False
        sick.goes_on.set()


def eventually_renewed(held: Leases, host: str, now: float) -> None:
    deadline = time.monotonic() + 10
    while held._renewed[host] < now:
        assert time.monotonic() < deadline, f"{host} waits for another host"
        time.sleep(0.01)
        held.renew_all()


class Lingering(LocalTransport):
    """A host where a change of an earlier apply goes on while it is asked `times` times."""

    def __init__(self, times: int) -> None:
        super().__init__("a", Host.model_validate({"connection": "local"}))
        self.times = times

    def run(self, argv, *, stdin=b"", timeout=60.0):  # type: ignore[no-untyped-def]
        self.times -= 1
        return Completed(0, b"busy\n", b"") if self.times >= 0 else super().run(argv, stdin=stdin, timeout=timeout)


def test_a_change_that_goes_on_is_waited_for(tmp_path: Path) -> None:
    clock, notes = Clock(), list[Note]()
    wait = LockWait(60, notes.append, clock.pause, clock)
    with Leases({"a": Lingering(3)}, holder(), wait, str(tmp_path)) as held:
        held.take_all("a")
        held.fence("a")
    assert [note.what for note in notes] == ["waiting for a change that an earlier apply began and that still goes on"]


@pytest.mark.parametrize("seconds", [0, 60])
def test_until_the_time_is_up(tmp_path: Path, seconds: float) -> None:
    clock = Clock()
    with pytest.raises(RefusedError) as caught:
        Leases({"a": Lingering(1000)}, holder(), LockWait(seconds, pause=clock.pause, clock=clock)).take_all("a")
    assert (caught.value.exit_code, caught.value.diagnostics[0].code) == (3, "locked")
    assert "by a change that an earlier apply began" in caught.value.diagnostics[0].message
    assert clock.now >= seconds


def test_a_flock_that_cannot_wait_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As busybox has it."""
    program = tmp_path / "flock"
    program.write_text("#!/bin/sh\necho \"flock: unrecognized option '--version'\" >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(HostError) as caught:
        lock(tmp_path).take()
    assert caught.value.diagnostic.code == "flock-missing"
    assert "util-linux" in (caught.value.diagnostic.hint or "")


class Moved(LocalTransport):
    """A host with directories for state of its own."""

    def __init__(self, name: str, root: Path) -> None:
        super().__init__(name, Host.model_validate({"connection": "local"}))
        self.root = root

    def run(self, argv, *, stdin=b"", timeout=60.0):  # type: ignore[no-untyped-def]
        moved = [f"{self.root}{word}" if word.startswith(("/state", STATE_DIR)) else word for word in argv]
        return super().run(moved, stdin=stdin, timeout=timeout)


def test_acquire_is_the_way_in(tmp_path: Path) -> None:
    with acquire({"a": Moved("a", tmp_path)}, ["a"], holder()):
        assert (tmp_path / "var/lib/deployer/lab/lock").exists()
    assert not (tmp_path / "var/lib/deployer/lab/lock").exists()


def test_a_look_changes_nothing(tmp_path: Path) -> None:
    assert lock(tmp_path).look() is None
    assert not (tmp_path / "lab").exists()
    lock(tmp_path).take()
    held = lock(tmp_path, "a2").look()
    assert held is not None
    assert held.who == holder().who
    assert lock(tmp_path).renew()


def test_a_lock_is_seized_only_as_it_was_seen(tmp_path: Path) -> None:
    lock(tmp_path).take()
    seen = lock(tmp_path, "a2").look()
    assert seen is not None
    lock(tmp_path).release()
    lock(tmp_path, "a3").take()
    assert not lock(tmp_path, "a2").seize(seen)
    assert lock(tmp_path, "a3").renew(), "the new holder's lock stands"


def test_who_lost_the_lock_is_fenced(tmp_path: Path) -> None:
    held = leases(tmp_path, "a")
    seen = lock(tmp_path, "a2").look()
    assert seen is not None
    assert lock(tmp_path, "a2").seize(seen)
    assert lock(tmp_path, "a2").look() is None
    held._renew("a")
    with pytest.raises(OperationError):
        held.fence("a")
    assert lock(tmp_path, "a2").take() is None, "it was left free"


@pytest.mark.parametrize(
    "plant", [lambda p: p.mkdir(), lambda p: p.symlink_to("/etc/passwd"), lambda p: p.write_text("junk")]
)
def test_what_was_planted_is_seized(tmp_path: Path, plant: Callable[[Path], object]) -> None:
    file(tmp_path).parent.mkdir()
    plant(file(tmp_path))
    seen = lock(tmp_path).look()
    assert seen is not None
    assert lock(tmp_path).seize(seen)
    assert lock(tmp_path).take() is None
