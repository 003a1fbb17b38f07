"""Differences are one line each, with values as people write them."""

from __future__ import annotations

import pytest

from deployer.values.plan import FieldDiff
from deployer.values.secrets import SecretRef
from deployer.view.field_diff import render_diff, render_value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        ("", '""'),
        ("text", "text"),
        (True, "true"),
        ([1, "a"], '[1,"a"]'),
        (SecretRef("k"), "(secret k)"),
        ({"secret": "k"}, "(secret k)"),
        ({"a": 1}, '{"a":1}'),
    ],
)
def test_values(value: object, shown: str) -> None:
    assert render_value(value) == shown


def test_a_long_value_is_cut() -> None:
    assert len(render_value("x" * 1000)) < 200


@pytest.mark.parametrize(
    ("diff", "line"),
    [
        (FieldDiff("image", "a:1", "a:2"), "image  a:1 → a:2"),
        (FieldDiff("command.--ctx-size", "4096", "8192"), "--ctx-size  4096 → 8192"),
        (FieldDiff("command.--flash-attn", None, True), "--flash-attn  + (given)"),
        (FieldDiff("command.[0]", "serve", "run"), "command.[0]  serve → run"),
        (FieldDiff("env.A", "1", None), "env.A  - 1"),
        (FieldDiff("privileged", False, True), "privileged  false → true"),
        (FieldDiff("shm_size", 64 << 20, 16 << 30), "shm_size  64 MiB → 16 GiB"),
    ],
)
def test_lines(diff: FieldDiff, line: str) -> None:
    assert render_diff([diff], "").render() == line + "\n"


def test_paths_are_aligned() -> None:
    text = render_diff([FieldDiff("a", 1, 2), FieldDiff("long.path", 1, 2)], "  ").render()
    assert text == "  a          1 → 2\n  long.path  1 → 2\n"
