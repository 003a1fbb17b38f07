"""One line an apply, in the order they came, whatever is in them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from deployer.engine.journal import JournalEntry, journal_line, record
from deployer.spec.language import Host
from deployer.transport.local import LocalTransport

ENTRY = JournalEntry("lab", "a1", "ops@laptop", "0.4", "apply", "d1ge57", "done", summary="1 created")


def here() -> dict[str, LocalTransport]:
    return {"here": LocalTransport("here", Host.model_validate({"connection": "local"}))}


def test_entries_are_appended_with_the_hosts_time(tmp_path: Path) -> None:
    odd = replace(ENTRY, who="a'b\"c $(id) `id` \\ \n%s", commit="f00", result="failed")
    assert record(here(), ["here"], ENTRY, str(tmp_path)) == ()
    assert record(here(), ["here"], odd, str(tmp_path)) == ()
    first, second = [json.loads(line) for line in (tmp_path / "lab" / "journal").read_text().splitlines()]
    assert first["time"].endswith("Z")
    assert (first["apply"], first["result"], "commit" in first) == ("a1", "done", False)
    assert second["who"] == "a'b\"c $(id) `id` \\  %s"


def test_a_journal_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "lab").write_text("in the way")
    (found,) = record(here(), ["here"], ENTRY, str(tmp_path))
    assert found.code == "journal-failed"
    assert found.severity == "warning"
    assert found.evidence


def test_an_entry_is_short(tmp_path: Path) -> None:
    huge = replace(ENTRY, who='"\N{GRINNING FACE}' * 5000, summary="\\" * 9999, plan="é" * 999)
    many = replace(huge, changes={"h1": tuple(f"create {'x' * 70}-{number}" for number in range(400))})
    assert len(journal_line(many, "h1")) < 4096
    assert json.loads(b"{" + journal_line(many, "h1"))["more"] == 388
    assert "changes" not in json.loads(b"{" + journal_line(many, "h2"))
