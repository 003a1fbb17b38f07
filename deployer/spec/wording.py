"""Wrong values in words: what stands there, what is allowed, what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deployer.dataclass import replace
from deployer.errors import Diagnostic
from deployer.spec.masking import MASK, is_for_a_secret
from deployer.spec.nodes import Node, render_path, shown
from deployer.spec.scalars import parse_scalar
from deployer.spec.shape import Kind, Shape
from deployer.spec.suggestions import nearest, suggestion

LONGEST_VALUE = 60
YAML_1_1_BOOLEANS = {"yes", "no", "on", "off", "y", "n"}
QUOTED = re.compile(r"'([^']*)'")
SECRET_EXPECTED = "a secret, as `{secret: NAME}`"

TYPES: Mapping[str, str] = {
    "int_type": "a whole number", "int_parsing": "a whole number", "int_from_float": "a whole number",
    "float_type": "a number", "float_parsing": "a number", "finite_number": "a number",
    "bool_type": "`true` or `false`", "bool_parsing": "`true` or `false`",
    "string_type": "text",
    "dict_type": "a map", "model_type": "a map", "model_attributes_type": "a map", "dataclass_type": SECRET_EXPECTED,
    "is_instance_of": SECRET_EXPECTED,
    "dataclass_exact_type": SECRET_EXPECTED,
    "tuple_type": "a list", "list_type": "a list",
    "none_required": "nothing",
}  # fmt: skip
LIMITS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda c: f"more than {c['gt']}",
    "greater_than_equal": lambda c: f"{c['ge']} or more",
    "less_than": lambda c: f"less than {c['lt']}",
    "less_than_equal": lambda c: f"{c['le']} or less",
    "string_too_long": lambda c: f"at most {c['max_length']} characters",
    "string_too_short": lambda c: f"at least {c['min_length']} characters",
    "string_pattern_mismatch": lambda c: f"text that matches `{c['pattern']}`",
    "literal_error": lambda c: QUOTED.sub(r"`\1`", c["expected"]),
}


def is_type_error(kind: str) -> bool:
    return kind in TYPES or kind == "literal_error"


def missing_keys(node: Node, keys: Sequence[str]) -> Diagnostic:
    named = " and ".join(f"`{key}`" for key in keys)
    place = f"`{render_path(node.path)}`" if node.path else "the spec"
    hint = "add " + " and ".join("`version: 1`" if key == "version" else f"`{key}: ...`" for key in keys)
    return Diagnostic("missing-key", f"{place} lacks {named}", node.where, hint=hint)


def unworded(node: Node) -> Diagnostic:
    return Diagnostic("bad-value", f"`{render_path(node.path)}` is not right", node.where, hint="correct it")


def unknown_key(node: Node, key: str, fields: Mapping[str, Shape]) -> Diagnostic:
    place = f" in `{render_path(node.path[:-1])}`" if node.path[:-1] else ""
    message = f"unknown key `{shown(key)}`{place}"
    return Diagnostic("unknown-key", message, node.where, hint=_key_hint(key, fields))


def _key_hint(key: str, fields: Mapping[str, Shape]) -> str:
    if key.endswith("+") and key[:-1] in fields:
        return f"`{key[:-1]}` takes {fields[key[:-1]].kind.value}, and only lists are appended to: drop the `+`"
    if nearest(key, fields) is None:
        for name, shape in fields.items():
            if shape.kind is Kind.SECTION and key in shape.fields:
                return f"did you mean `{name}.{key}`?"
    return suggestion(key, fields, "the keys here are")


def wrong_value(node: Node, complaints: Sequence[Mapping[str, Any]], shape: Shape) -> Diagnostic:
    """One diagnostic for all that is wrong with one value."""
    name = render_path(node.path)
    where = node.where
    if all(TYPES.get(c["type"]) == SECRET_EXPECTED for c in complaints):
        if not isinstance(node.value, dict):  # a password, perhaps: its line is not shown
            where = replace(where, text=shown(where.text.partition(":")[0]) + f": {MASK}")
        hint = "put it under `secrets` and write `{secret: NAME}` here"
        return Diagnostic("wrong-type", f"`{name}` is not {SECRET_EXPECTED}", where, hint=hint)
    said = [str(c["ctx"]["error"]) for c in complaints if c["type"] == "value_error"]
    if said:
        return Diagnostic("bad-value", f"`{name}`: {said[0]}", where, hint=_value_hint(node, []))
    wanted = list(dict.fromkeys(_wanted(c) for c in complaints))
    wanted = [text for text in wanted if text != "nothing"] or wanted
    code = "wrong-type" if all(c["type"] in TYPES for c in complaints) else "bad-value"
    message = f"`{name}` is {_found(node)}, expected {' or '.join(wanted)}"
    return Diagnostic(code, message, where, hint=_value_hint(node, complaints))


def _wanted(complaint: Mapping[str, Any]) -> str:
    kind = complaint["type"]
    if kind in LIMITS:
        return LIMITS[kind](complaint.get("ctx", {}))
    return TYPES.get(kind) or str(complaint["msg"]).lower()


def _found(node: Node) -> str:
    match node.value:
        case str() if is_for_a_secret(node.path):
            return "text"
        case dict():
            return "a map"
        case list():
            return "a list"
        case bool():
            return f"`{str(node.value).lower()}`"
        case str():
            text = shown(node.value.partition("\n")[0])
            return f"the text `{text[:LONGEST_VALUE]}`"
        case _:
            return f"`{node.written or node.value}`"


def _value_hint(node: Node, complaints: Sequence[Mapping[str, Any]]) -> str:
    """One thing to do about a wrong value."""
    kinds = {str(c["type"]) for c in complaints}
    choices = [
        word for c in complaints if c["type"] == "literal_error" for word in QUOTED.findall(c["ctx"]["expected"])
    ]
    if "bool_type" in kinds and isinstance(node.value, str) and node.value.lower() in YAML_1_1_BOOLEANS:
        return "write `true` or `false`: `yes` and `no` are text in YAML 1.2"
    if isinstance(node.value, str) and not isinstance(parse_scalar(node.value), str) and kinds & TYPES.keys():
        return "write it without quotes"
    if isinstance(node.value, str) and choices:
        return suggestion(node.value, choices, "write one of")
    if "string_type" in kinds and not isinstance(node.value, dict | list):
        return f'quote it: `"{node.written or _found(node).strip("`")}"`'
    return "correct it, or remove it for the default"
