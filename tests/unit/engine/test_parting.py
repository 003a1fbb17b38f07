"""What an apply leaves on a host comes in one round trip, and what the host does not take is said of each part."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from deployer.engine.journal import JournalEntry, journal_parting
from deployer.engine.lease import Leases, LockWait
from deployer.engine.lock import Holder
from deployer.engine.parting import parse_parts, part
from deployer.engine.project_record import parse_record
from deployer.engine.record_writing import record_parting
from deployer.errors import Diagnostic, UnreachableError
from deployer.spec.language import Host
from deployer.transport.base import Completed
from deployer.transport.local import LocalTransport
from deployer.transport.quoting import script_of
from deployer.values.records import ProjectRecord

SHELLS = [shell for shell in (["dash"], ["bash", "--posix"], ["busybox", "sh"]) if shutil.which(shell[0])]
HOLDER = Holder("lab", "a1", "ops@laptop")
ENTRY = JournalEntry("lab", "a1", 'it\'s "ops" $(id)', "0.4", "apply", "d1ge57", "done")
RECORD = ProjectRecord("lab", "7f", "a1", {"here": "it's $(id) `id`"})
MARKER = "0123456789abcdef"


class Counting(LocalTransport):
    def __init__(self) -> None:
        super().__init__("here", Host.model_validate({"connection": "local"}))
        self.runs = 0

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Completed:
        self.runs += 1
        return super().run(argv, stdin=stdin, timeout=timeout)


class Gone(Counting):
    """A host that is lost once its lock was taken."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Completed:
        if self.runs:
            raise UnreachableError(Diagnostic("unreachable", "host `here` is gone"))
        return super().run(argv, stdin=stdin, timeout=timeout)


def ended(host: Counting, directory: Path) -> tuple[Diagnostic, ...]:
    leases = Leases({"here": host}, HOLDER, LockWait(), str(directory))
    leases.take_all(["here"])
    words = [record_parting(HOLDER, RECORD, str(directory)), journal_parting(ENTRY, "here", str(directory))]
    return leases.release({"here": words})


def test_the_end_of_an_apply_is_one_round_trip(tmp_path: Path) -> None:
    host = Counting()
    assert ended(host, tmp_path) == ()
    assert host.runs == 2, "one to take the lock, one for the end"
    assert parse_record((tmp_path / "lab" / "hosts").read_bytes()) == RECORD
    assert '"who":"it\'s \\"ops\\" $(id)"' in (tmp_path / "lab" / "journal").read_text()
    assert not (tmp_path / "lab" / "lock").exists()


def test_what_a_host_does_not_take_keeps_back_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "lab" / "journal").mkdir(parents=True)
    (found,) = ended(Counting(), tmp_path)
    assert (found.code, found.severity) == ("journal-failed", "warning")
    assert "journal" in found.evidence[0]
    assert (tmp_path / "lab" / "hosts").exists()
    assert not (tmp_path / "lab" / "lock").exists()


def test_of_a_host_that_is_gone_every_part_is_said(tmp_path: Path) -> None:
    found = ended(Gone(), tmp_path)
    assert [d.code for d in found] == ["record-failed", "journal-failed", "lock-left"]
    assert {d.evidence for d in found} == {("host `here` is gone",)}


def test_of_a_host_whose_lock_is_anothers_the_record_stays_as_it_is(tmp_path: Path) -> None:
    host = Counting()
    assert ended(host, tmp_path) == ()
    late = ProjectRecord("lab", "7f", "a2", {})
    (found,) = part({"here": host}, {"here": [record_parting(Holder("lab", "a2", "b"), late, str(tmp_path))]})
    assert (found.code, found.evidence) == ("record-failed", ("the lock was lost",))
    assert parse_record((tmp_path / "lab" / "hosts").read_bytes()) == RECORD


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_each_command_gets_its_own_input_and_says_its_own(shell: list[str]) -> None:
    odd = 'it\'s "quoted" $(id) `id` \\ %s\n\nEOF\n'
    echo = ["sh", "-c", 'cat; printf "<%s>" "$1"; echo "$2" >&2; exit "$3"', "odd", odd]
    commands = [([*echo, "one", "0"], odd.encode()), ([*echo, "two", "7"], b""), ([*echo, "three", "0"], b"\n\n")]
    done = subprocess.run(
        [*shell, "-s"], input=script_of(commands, MARKER), capture_output=True, timeout=20, check=False
    )
    found = parse_parts(Completed(done.returncode, done.stdout, done.stderr), MARKER)
    assert [(d.exit_code, d.stderr.strip()) for d in found] == [(0, b"one"), (7, b"two"), (0, b"three")]
    assert [d.stdout.decode() for d in found] == [f"{odd}<{odd}>", f"<{odd}>", f"\n\n<{odd}>"]


def test_an_answer_that_was_cut_short_holds_what_is_whole() -> None:
    whole = f"one\n{MARKER} 0\ntwo\n{MARKER} 3\n".encode()
    assert [d.exit_code for d in parse_parts(Completed(0, whole, b""), MARKER)] == [0, 3]
    for end in range(len(whole)):
        found = parse_parts(Completed(0, whole[:end], b""), MARKER)
        assert [d.stdout for d in found] == [b"one", b"two"][: len(found)]


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_a_script_that_was_cut_off_does_nothing(shell: list[str], tmp_path: Path) -> None:
    left = tmp_path / "left"
    commands = [(["touch", f"{left} 1"], b""), (["tee", f"{left} 2"], b"some\ntext\n"), (["touch", f"{left} 3"], b"")]
    script = script_of(commands, MARKER)
    for end in range(0, len(script) - len("all\n"), 5):
        subprocess.run([*shell, "-s"], input=script[:end], capture_output=True, timeout=20, check=False)
        assert not list(tmp_path.iterdir()), script[:end]
    subprocess.run([*shell, "-s"], input=script, capture_output=True, timeout=20, check=True)
    assert len(list(tmp_path.iterdir())) == 3
