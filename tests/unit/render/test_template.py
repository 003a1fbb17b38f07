"""Templates: values arrive unchanged, mistakes name the line, and no template takes long."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.errors import SpecError
from deployer.planning.render_template import MAX_OUTPUT, MAX_SOURCE, builtin_template, render_template

NASTY = [
    "{{ x }}",
    "$(id)",
    "`id`",
    "a: b",
    "- c",
    "'",
    '"',
    "\\",
    "\n",
    "\r\n",
    "\t",
    "#",
    "%}",
    "é",
    "\x7f",
    "\x85",
    "\u2028",
]
texts = st.text(max_size=12) | st.lists(st.sampled_from(NASTY), max_size=3).map("".join)
values = texts | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False)


def rendered(source: str, **names: Any) -> Any:
    return render_template("t.yaml.j2", source, names)


def refused(source: str, **names: Any) -> str:
    with pytest.raises(SpecError) as caught:
        rendered(source, **names)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "bad-template"
    assert "t.yaml.j2" in diagnostic.message
    return diagnostic.message


@settings(max_examples=3000, deadline=None)
@given(values, st.lists(texts, max_size=2), st.sampled_from(["key", "k", "on", "null"]))
def test_values_arrive_as_they_are(value: Any, items: list[str], key: str) -> None:
    source = (
        "one: {{ value }}\n"
        "many:\n{% for item in items %}\n  - {{ item }}\n  - x: {{ item }}\n{% endfor %}\n"
        "flow: [{{ value }}, {{ items }}, {k: {{ value }}}]\n"
        "{{ key }}: key\n"
    )
    many = [entry for item in items for entry in (item, {"x": item})]
    expected = {"one": value, "many": many or None, "flow": [value, items, {"k": value}], key: "key"}
    assert rendered(source, value=value, items=items, key=key) == expected


@settings(max_examples=200, deadline=None)
@given(texts, texts)
def test_expressions_join_texts_as_they_are(one: str, two: str) -> None:
    assert rendered("a: {{ one ~ '=' ~ two }}\nb: {{ [one, two] | join(',') }}", one=one, two=two) == {
        "a": f"{one}={two}",
        "b": f"{one},{two}",
    }


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("args:\n  - --model={{ m }}", 2),
        ("args:\n  - {{ m }}suffix", 2),
        ("a: '{{ m }}'", 1),
        ('a: "{{ m }}"', 1),
        ("a: {{ m }}{{ m }}", 1),
        ("a: {% if m %}x{% endif %}{{ m }}", 1),
        ("a: b\n  {{ m }}", 2),
        ("a: b, {{ m }}", 1),
        ("a: |\n  {{ m }}", 1),
        ("a:\n  - >-\n    text", 2),
        ("{# one\n two #}\na: x{{ m }}", 3),
        ("a: 1\n{%- if m %} {{ m }}{% endif %}", 2),
    ],
)
def test_a_glued_value_names_its_line(source: str, line: int) -> None:
    assert f"line {line}:" in refused(source, m="x")


@pytest.mark.parametrize(
    "source",
    [
        "a: {{ m }}",
        "- {{ m }}",
        "- - {{ m }}",
        "- a: {{ m }}",
        "{{ m }}: 1",
        "a: [{{ m }}, {{ m }}]",
        "a: {x: {{ m }}, y: [{{ m }}]}",
        "a: {{ m }}  # comment",
        '"quoted key": {{ m }}',
        "{% if m %}\na: {{ m }}\n{% else %}\na: {{ m }}\n{% endif %}",
        "# nothing",
    ],
)
def test_whole_values_are_fine(source: str) -> None:
    rendered(source, m="x")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("a: {{ nope }}", "'nope' is undefined"),
        ("a: 1\nb: {{ m.nope }}", "line 2"),
        ("a: {{ 1 // 0 }}", "zero"),
        ("a: {{ m", "line 1"),
        ("{% for x in m %}", "line 1"),
        ("{% include 'x' %}", "no `include`"),
        ("{% macro f() %}{% endmacro %}", "no `macro`"),
        ("{% set ns = namespace(a=1) %}", "only range, flag and refuse can be called"),
        ("a: {{ m.upper() }}", "only range, flag and refuse can be called"),
        ("a: {{ m.__class__ }}", "'str object' has no attribute '__class__'"),
        ("a: {{ ''.__class__.__mro__ }}", "no attribute"),
        ("a: {{ m | attr('upper') }}", "filter `attr`"),
        ("a: {{ [1] | map('upper') | list }}", "`map` is for attributes"),
        ("a: {{ 'x' is callable }}", "test `callable`"),
        ("a: {{ fuel_values }}", "taken"),
        ("a: {{ flag }}", "texts, numbers, lists and maps"),
        ("a: &x 1\nb: *x", "anchors"),
        ("a: !!python/name:os.system x", "tags"),
        ("a: [", "does not make YAML"),
        ("a: 1\na: 2", "does not make YAML"),
        ("\ue000", "private-use"),
        ("x" * (MAX_SOURCE + 1), "longer"),
    ],
)
def test_mistakes_are_said(source: str, said: str) -> None:
    assert said in refused(source, m="x", flag=lambda name: True)


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(100000000) %}{% endfor %}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% for a in m %}{% for b in m %}{% for c in m %}{% endfor %}{% endfor %}{% endfor %}",
        "{% set a = 'xxxxxxxxxx' %}" + "{% set a = a ~ a %}" * 60,
        "{% set a = [1] %}" + "{% set a = [a, a] %}" * 60 + "a: {{ a }}",
        "{% set a = [1] %}" + "{% set a = a + a %}" * 60,
        "{% set a = [1] %}" + "{% set a = {'x': a, 'y': a} %}" * 60 + "a: {{ a | tojson }}",
        "{% set a = 9 %}" + "{% set a = a * a %}" * 60,
        "a: {{ 'x' * 1000000000 }}",
        "a: {{ [0] * 1000000000 }}",
        "a: {{ '%1000000000d' % 1 }}",
        "a: {{ m | join('x' * 9) }}",
        "{% set s = 'x' %}" + "{% set s = s ~ s %}" * 12 + "a: {{ m | join(s) }}",
        "{% for a in range(90000) %}\n- xxxxxxxxxxxxxxxx\n{% endfor %}",
        "a: {{ " + "(" * 500 + "1" + ")" * 500 + " }}",
        "a: " + "[" * 500 + "]" * 500,
    ],
)
def test_no_template_takes_long(source: str) -> None:
    assert refused(source, m=list(range(200)))


def test_a_loop_of_a_sensible_size_is_fine() -> None:
    assert rendered("{% for a in range(1000) %}\n- {{ a }}\n{% endfor %}") == list(range(1000))


def test_output_is_bounded() -> None:
    line = "- " + "x" * 1000 + "\n"
    message = refused("{% for a in range(300) %}\n" + line + "{% endfor %}")
    assert str(MAX_OUTPUT) in message


def test_a_render_leaves_nothing_for_the_next() -> None:
    source = "a: [{{ m }}]\nb: [1]"
    first = rendered(source, m="one")
    first["b"].append(2)
    first["a"].append("mine")
    assert rendered(source, m="two") == {"a": ["two"], "b": [1]}


def test_builtin_templates_are_found() -> None:
    assert "--model" in builtin_template("vllm.yaml.j2")


def test_a_literal_finds_the_text_only() -> None:
    pattern = rendered("a: {{ text | literal }}", text="llama3.1:8b (q4+)")["a"]
    assert re.fullmatch(pattern, "llama3.1:8b (q4+)")
    assert not re.fullmatch(pattern, "llama3x1:8b (q4+)")
