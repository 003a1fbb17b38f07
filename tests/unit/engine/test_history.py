"""Journals are put together by apply, whatever stands in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from deployer.engine.history import parse_journal, put_together, read_history
from deployer.engine.journal import JournalEntry, record
from deployer.spec.language import Host
from deployer.transport.local import LocalTransport

ENTRY = JournalEntry(
    "lab", "a1", "ops@laptop", "0.4", "apply", "d1ge57", "done", "f00", "2 created",
    changes={"h1": ("create chat-0",), "h2": ("create chat-1", "remove embed-0")},
)  # fmt: skip


def hosts(*names: str) -> dict[str, LocalTransport]:
    return {name: LocalTransport(name, Host.model_validate({"connection": "local"})) for name in names}


def line(apply: str, time: str, **more: object) -> dict[str, object]:
    return {"time": time, "apply": apply, "verb": "apply", "who": "ops@laptop", "result": "done", **more}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    for host in ("h1", "h2"):
        record(hosts(host), [host], ENTRY, str(tmp_path / host))
    record(hosts("h2"), ["h2"], replace(ENTRY, apply="a2", result="failed"), str(tmp_path / "h2"))
    (one,), problems = read_history(hosts("h1"), ["h1"], "lab", str(tmp_path / "h1"))
    assert problems == ()
    assert (one.apply, one.who, one.commit, one.summary) == ("a1", "ops@laptop", "f00", "2 created")
    assert one.hosts["h1"].changes == ("create chat-0",)
    applied, _ = read_history(hosts("h2"), ["h2"], "lab", str(tmp_path / "h2"))
    assert {a.apply: a.hosts["h2"].result for a in applied} == {"a1": "done", "a2": "failed"}


def test_a_host_without_a_journal_has_no_history(tmp_path: Path) -> None:
    assert read_history(hosts("h1"), ["h1"], "lab", str(tmp_path)) == ((), ())


def test_a_journal_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "lab" / "journal").mkdir(parents=True)
    applied, (problem,) = read_history(hosts("h1"), ["h1"], "lab", str(tmp_path))
    assert applied == ()
    assert (problem.code, problem.host) == ("journal-unreadable", "h1")


def test_the_last_apply_comes_first_and_each_has_all_its_hosts() -> None:
    found = put_together(
        {
            "h1": [line("a1", "2026-01-01T00:00:00Z"), line("a2", "2026-01-02T00:00:00Z")],
            "h2": [line("a2", "2026-01-02T00:00:05Z", result="failed"), line("a2", "2026-01-03T00:00:00Z")],
        }
    )
    assert [(a.apply, sorted(a.hosts), a.time) for a in found] == [
        ("a2", ["h1", "h2"], "2026-01-02T00:00:00Z"),
        ("a1", ["h1"], "2026-01-01T00:00:00Z"),
    ]
    assert found[0].hosts["h2"].result == "failed", "an apply notes its end once"


def test_what_is_no_entry_is_left_out() -> None:
    junk = [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"apply": 7}',
        b'{"apply": ""}',
        b"\xff\xfe",
        b'{"apply":"a0"' + b" " * 5000 + b"}",
    ]
    data = b"\n".join(
        [b'ime":"cut","apply":"a9"}', *junk, b'{"apply":"a1","changes":["ok", 3, "x\\u001b[31my"],"more":-4}']
    )
    (entry,) = parse_journal(data)
    (one,) = put_together({"h1": [entry]})
    assert one.apply == "a1"
    assert one.hosts["h1"].changes == ("ok", "xy")
    assert one.hosts["h1"].more == 0
