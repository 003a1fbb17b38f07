"""The record of a project's hosts: written whole, read from anybody."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.engine.lock import Holder, HostLock
from deployer.engine.project_record import MAX_HOSTS, MAX_NAMES, parse_record, render_record
from deployer.engine.record_writing import write_records
from deployer.errors import HostError
from deployer.spec.language import Host
from deployer.transport.local import LocalTransport
from deployer.values.records import Hold, ProjectRecord
from tests.support.fakehost import CutOff

APPLY = "20260101T000000Z00000000"
RECORD = ProjectRecord(
    "lab", "7f3a", APPLY, {"gpu-a": "10.0.0.11", "主机": "fe80::1"}, gone={"chat-1": APPLY}, inputs={"chat-0": "b1"}
)


def here() -> dict[str, LocalTransport]:
    return {"here": LocalTransport("here", Host.model_validate({"connection": "local"}))}


def locked(state_dir: Path, apply: str = "a1") -> Holder:
    """Of a lock that is there, if it can be."""
    holder = Holder("lab", apply, "ops")
    with contextlib.suppress(HostError):
        HostLock(here()["here"], holder, str(state_dir)).take()
    return holder


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    for _ in range(2):
        assert write_records(here(), locked(tmp_path), {"here": RECORD}, str(tmp_path)) == ()
    file = tmp_path / "lab" / "hosts"
    assert parse_record(file.read_bytes()) == RECORD
    assert not list(tmp_path.rglob("*.new.*"))
    assert file.stat().st_mode & 0o777 == 0o644


def test_who_lost_the_lock_writes_nothing(tmp_path: Path) -> None:
    locked(tmp_path, "a2")
    for wanted in (RECORD, None):
        (found,) = write_records(here(), Holder("lab", "a1", "ops"), {"here": wanted}, str(tmp_path))
        assert found.evidence == ("the lock was lost",)
    assert not (tmp_path / "lab" / "hosts").exists()


def test_the_record_before_outlives_a_connection_that_dies(tmp_path: Path) -> None:
    holder = locked(tmp_path)
    write_records(here(), holder, {"here": RECORD}, str(tmp_path))
    with contextlib.closing(CutOff("here")) as host:
        (found,) = write_records({"here": host}, holder, {"here": replace(RECORD, apply="later")}, str(tmp_path))
    assert found.code == "record-failed"
    assert parse_record((tmp_path / "lab" / "hosts").read_bytes()) == RECORD
    assert not list(tmp_path.rglob("*.new.*"))


def test_it_is_removed_and_that_twice(tmp_path: Path) -> None:
    write_records(here(), locked(tmp_path), {"here": RECORD}, str(tmp_path))
    for _ in range(2):
        assert write_records(here(), locked(tmp_path), {"here": None}, str(tmp_path)) == ()
    assert not (tmp_path / "lab" / "hosts").exists()


@pytest.mark.parametrize("in_the_way", ["lab", "lab/hosts/x"])
def test_one_that_cannot_be_written_is_a_warning(tmp_path: Path, in_the_way: str) -> None:
    (tmp_path / in_the_way).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / in_the_way).write_text("")
    (found,) = write_records(here(), locked(tmp_path), {"here": RECORD}, str(tmp_path))
    assert (found.code, found.severity, found.host) == ("record-failed", "warning", "here")
    assert not list(tmp_path.rglob("*.new.*"))


def document(**changed: object) -> bytes:
    return json.dumps(json.loads(render_record(RECORD)) | changed).encode()


@pytest.mark.parametrize(
    "text",
    [
        b"", b"null", b"[]", b"{}", b"[" * 5000, b"\xff\xfe", document(format=2), document(project="../etc"),
        document(project=7), document(hosts=[]), document(hosts=None), b'{"a":1,"a":2}', b" " * (300 << 10) + b"x",
    ],
)  # fmt: skip
def test_what_is_no_record_is_none(text: bytes) -> None:
    assert parse_record(text) is None


HOLD = Hold("chat", "abcd", "ada@desk", "2026-01-02T00:00:00Z", "it was slow", RECORD.apply, {"chat-0": "lab_chat_0_a"})


def test_holds_are_read_back() -> None:
    held = replace(RECORD, holds=(HOLD,))
    assert parse_record(render_record(held)) == held


@pytest.mark.parametrize("holds", [7, {}, [7], [{}], [{"service": "../x"}], [{"service": "a\nb"}], [{"service": 7}]])
def test_what_is_no_hold_is_left_out(holds: object) -> None:
    found = parse_record(document(holds=holds))
    assert found is not None
    assert found.holds == ()


def test_a_planted_hold_is_on_one_line_and_bounded() -> None:
    back = {"chat-0": 7, "\x1b[1mchat-1": "y" * 5000}
    said = {"service": "chat", "who": "\x1b[31meve\n", "why": "x" * 5000, "back_to": back}
    found = parse_record(document(holds=[said]))
    assert found is not None
    assert found.holds == (Hold("chat", "", "eve", "", "x" * 200, "", {"chat-1": "y" * 200}),)
    many = parse_record(document(holds=[{"service": "chat"}] * (MAX_NAMES + 5)))
    assert many is not None
    assert len(many.holds) == MAX_NAMES


def test_what_somebody_planted_is_bounded_and_on_one_line() -> None:
    hosts = {"\x1b[31mred\n": "a\x00b", "x" * 5000: "y" * 5000, "n": 7}
    found = parse_record(document(hosts=hosts, id=["x"], apply="\x1b]0;t\x07"))
    assert found is not None
    assert found.hosts == {"red": "a b", "x" * 200: "y" * 200}
    assert found.id == ""
    assert "\x1b" not in found.apply
    many = parse_record(document(hosts={str(n): "" for n in range(MAX_HOSTS + 5)}))
    assert many is not None
    assert len(many.hosts) == MAX_HOSTS


@given(st.binary(max_size=300))
def test_anything_is_a_record_or_none(text: bytes) -> None:
    parse_record(text)
