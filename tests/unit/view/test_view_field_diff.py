"""Command lines are compared argument by argument, values on one line."""

from __future__ import annotations

import pytest

from deployer.values.plan import FieldDiff
from deployer.values.secrets import SecretRef
from deployer.view.field_diff import diff_arguments, render_diff, render_value


@pytest.mark.parametrize(
    ("before", "after", "pairs"),
    [
        ("--ctx 1 --x", "--ctx 2 --x", [("--ctx 1", "--ctx 2")]),
        ("--a", "--a --b 1", [(None, "--b 1")]),
        ("--a --b", "--b", [("--a", None)]),
        ("-ngl -1", "-ngl 5", [("-ngl -1", "-ngl 5")]),
        ("--a=1 --b=2", "--a=1 --b=3", [("--b=2", "--b=3")]),
        ("serve m --a", "serve n --a", [("m", None), (None, "n")]),
        ("--a 1 --b 2", "--b 2 --a 1", [("--a 1 --b 2", "--b 2 --a 1")]),
        ("--v --v", "--v", [("--v --v", "--v")]),
        ("--gpus a b", "--gpus a", [("--gpus a b", "--gpus a")]),
    ],
)
def test_arguments(before: str, after: str, pairs: list[tuple[str | None, str | None]]) -> None:
    assert diff_arguments(before.split(), after.split()) == pairs


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "(none)"),
        ("", '""'),
        ("text", "text"),
        (True, "true"),
        ([1, "a"], '[1,"a"]'),
        (SecretRef("k"), "(secret k)"),
        ({"secret": "k"}, "(secret k)"),
        ({"a": 1}, '{"a":1}'),
        ({"data": "b25l"}, "3 B, sha256 7692c3ad3540"),
        ({"data": "not base64!"}, '{"data":"not base64!"}'),
    ],
)
def test_values(value: object, shown: str) -> None:
    assert render_value(value) == shown


def test_a_long_value_is_cut() -> None:
    assert len(render_value("x" * 1000)) < 200


def test_a_list_that_appears_is_shown_as_added() -> None:
    text = render_diff([FieldDiff("command", None, ["--a"]), FieldDiff("x", 1, None)], "  ").render()
    assert text == '  command  + ["--a"]\n  x        - 1\n'
