"""What `history` and `force-unlock` print, for people and for programs."""

from __future__ import annotations

import jsonschema

from deployer.engine.lock import Held
from deployer.values.history import Applied, Part
from deployer.view.history import history_json, render_history
from deployer.view.output_schemas import output_schema
from deployer.view.unlocking import render_locks, render_unlocked, unlocked_json

DONE = Applied(
    "20260102T000000Zabcd",
    "apply",
    "ops@laptop (pid 7)",
    {
        "gpu-b": Part("2026-01-02T00:00:09Z", "done", ("remove embed-0",)),
        "gpu-a": Part("2026-01-02T00:00:07Z", "failed", ("replace chat-0", "create chat-1"), 3),
    },
    "0123456789abcdef",
    summary="1 replaced, 1 removed",
)
OLD = Applied(
    "20260101T000000Z1234", "destroy", "ci@runner", {"gpu-a": Part("2026-01-01T00:00:00Z", "done")}, summary="1 removed"
)
HELD = {"gpu-a": Held("ops@laptop\x1b[31m", "2026-01-02T00:00:00Z", 31.0, "c1"), "gpu-b": Held("ci", "", 0.0, "c2")}


def test_every_apply_with_what_it_did_where() -> None:
    assert render_history("lab", [DONE, OLD]).render() == (
        "20260102T000000Zabcd  2026-01-02 00:00:07  apply  failed  by ops@laptop (pid 7)  commit 0123456789ab\n"
        "  gpu-a  replace chat-0, create chat-1, and 3 more\n"
        "  gpu-b  remove embed-0  (done)\n"
        "\n"
        "20260101T000000Z1234  2026-01-01 00:00:00  destroy  done  by ci@runner\n"
        "  gpu-a  1 removed\n"
    )


def test_no_history_is_said() -> None:
    assert render_history("lab", []).render() == "Project `lab`: no host has a journal of it\n"


def test_history_is_as_its_schema_says() -> None:
    data = history_json("lab", [DONE, OLD])
    jsonschema.validate(data, output_schema("history"))
    assert [a["result"] for a in data["applies"]] == ["failed", "done"]


def test_locks_are_shown_with_what_is_left_of_them() -> None:
    assert render_locks("lab", HELD).render() == (
        "  gpu-a  held by ops@laptop since 2026-01-02T00:00:00Z; its lease ends in 31 s\n"
        "  gpu-b  held by ci; its lease has run out\n"
    )
    assert render_locks("lab", {}).render() == "Project `lab` is locked on no host\n"


def test_what_was_unlocked_is_as_its_schema_says() -> None:
    jsonschema.validate(unlocked_json("lab", HELD), output_schema("force-unlock"))
    assert render_unlocked({"gpu-b": HELD["gpu-b"]}).render() == "unlocked  gpu-b, that was held by ci\n"
