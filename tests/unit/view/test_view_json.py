"""The machine-readable plan has the promised shape, and JSON is safe to look at."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from deployer.view.json_text import render_json
from deployer.view.plan_json import plan_json
from tests.unit.view.plans import creation, everything, impossible


def test_the_plan_has_the_promised_keys() -> None:
    data = json.loads(render_json(plan_json(everything())))
    assert list(data) == [
        "format_version", "deployer", "project", "id", "spec_digest", "hosts", "summary", "placements", "changes",
        "steps", "rollout", "holds", "problems",
    ]  # fmt: skip
    assert data["hosts"]["gpu-c"] == {"unreachable": "no answer in 10 s"}
    assert set(data["hosts"]["gpu-a"]) == {"used", "used_digest"}
    assert data["summary"] == {
        "create": 0, "update": 1, "replace": 1, "move": 1, "start": 1, "stop": 1, "remove": 1, "keep": 2,
    }  # fmt: skip
    assert data["rollout"]["downtime"] is True
    assert data["rollout"]["min_ready"] == {"chat": 1, "embed": 1, "rerank": 0}
    change = data["changes"][0]
    assert {"service", "replica", "host", "from_host", "action", "cause", "reasons", "diff"} <= set(change)
    assert change["diff"][2] == {"path": "env.HF_TOKEN", "before": None, "after": {"secret": "hf_token"}}


def test_steps_and_placements() -> None:
    data = plan_json(creation())
    first = data["steps"][0]
    assert {"id", "host", "op", "needs", "on_failure", "why", "bytes"} <= set(first)
    assert (first["op"], first["bytes"]) == ("pull-image", 1_300_000_000)
    assert data["placements"][0]["members"][0]["port"] == 20000


def test_a_problem_has_its_place() -> None:
    problem = plan_json(impossible())["problems"][0]
    assert problem["where"]["line"] == 14
    assert {"severity", "code", "message", "where", "hint"} <= set(problem)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values, st.sampled_from([None, 2]))
def test_what_is_written_is_read_back_and_obeyed_by_no_terminal(value: object, indent: int | None) -> None:
    text = render_json(value, indent=indent)
    assert json.loads(text) == value
    assert not any(char in text for char in "\x1b\x7f\x9b\u202e")
    text.encode()


def test_ci_markers_are_escaped_in_json() -> None:
    assert "##[" not in render_json(["##[group]"])
    assert json.loads(render_json(["##[group]"])) == ["##[group]"]
