"""The YAML of rendered templates: what is read, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.planning.render_skeleton import parse_skeleton


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", None),
        ("a:", {"a": None}),
        ("- 1\n- 1.5\n- on\n- 'true'\n- true\n- ~", [1, 1.5, "on", "true", True, None]),
        ("a: {b: [c, 'd']}\n1: e", {"a": {"b": ["c", "d"]}, 1: "e"}),
        ('a: "\\u00e9"', {"a": "é"}),
        ("a: 2001-01-01", {"a": "2001-01-01"}),
        ("a: " + "[" * 19 + "]" * 19, None),
    ],
)
def test_data_is_read(text: str, data: Any) -> None:
    found = parse_skeleton(text)
    assert found == data or (data is None and isinstance(found, dict))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", "the key `a` stands twice"),
        ("{a: 1}: 2", "a map or list stands as a key"),
        ("[a]: 2", "a map or list stands as a key"),
        ("*a", "anchors or aliases"),
        ("a: &a 1", "anchors or aliases"),
        ("a: &a [1]", "anchors or aliases"),
        ("a: !!str 1", "tags"),
        ("a: !x {}", "tags"),
        ("a: ! 12", "tags"),
        ("--- a\n--- b", "several YAML documents"),
        ("a: [", "does not make YAML"),
        ("a: b: c", "does not make YAML"),
        ("%YAML 3.0\n--- a", "does not make YAML"),
        ('a: "\\UFFFFFFFF"', "does not make YAML"),
        ("[" * 21 + "]" * 21, "nested too deeply"),
        ("a: \ud800", "surrogates"),
    ],
)
def test_all_else_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_skeleton(text)
