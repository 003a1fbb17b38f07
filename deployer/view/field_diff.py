"""Field-level differences as lines, with command lines compared argument by argument."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from deployer.values.codec import to_data
from deployer.values.plan import FieldDiff
from deployer.values.secrets import SecretRef
from deployer.view.json_text import render_json
from deployer.view.measures import render_bytes
from deployer.view.page import Page, Span, Style

NOTHING = "(none)"
LONGEST_VALUE = 160
SIZES = ("shm_size", "memory", "memory_swap")
ARGUMENT_LISTS = ("command", "args", "entrypoint")
NEGATIVE_NUMBER = re.compile(r"-\d+(\.\d+)?\Z")

Pair = tuple[Any, Any]


def render_diff(diff: Sequence[FieldDiff], indent: str) -> Page:
    """One line a difference: path, value before, value after."""
    rows = [row for field in diff for row in _rows(field)]
    width = min(max((len(path) for path, _ in rows), default=0), 32)
    page = Page()
    for path, (before, after) in rows:
        page.line(indent, f"{path:<{width}}  ", *_sides(before, after))
    return page


def _sides(before: Any, after: Any) -> tuple[str | Span, ...]:
    if before is None:
        return (Span(f"+ {render_value(after)}", Style.ADDED),)
    if after is None:
        return (Span(f"- {render_value(before)}", Style.REMOVED),)
    return (Span(f"{render_value(before)} → {render_value(after)}", Style.CHANGED),)


def _rows(field: FieldDiff) -> list[tuple[str, Pair]]:
    if field.path.rpartition(".")[2] in ARGUMENT_LISTS and _is_list(field.before) and _is_list(field.after):
        pairs = diff_arguments([str(a) for a in field.before], [str(a) for a in field.after])
        return [(field.path if i == 0 else "", pair) for i, pair in enumerate(pairs)]
    if field.path.rpartition(".")[2] in SIZES:
        return [(field.path, (_size(field.before), _size(field.after)))]
    return [(field.path, (field.before, field.after))]


def _size(value: Any) -> Any:
    return render_bytes(value) if isinstance(value, int) and value > 0 else value


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def diff_arguments(before: list[str], after: list[str]) -> list[Pair]:
    """What differs between two command lines: `--ctx-size 4096` to `--ctx-size 8192`, one pair an argument.

    Falls back to the whole lines where only the order differs, or an argument is repeated.
    """
    old, new = _grouped(before), _grouped(after)
    if len({flag for flag, _ in old}) != len(old) or len({flag for flag, _ in new}) != len(new):
        return [(" ".join(before), " ".join(after))]
    was, becomes = dict(old), dict(new)
    pairs: list[Pair] = [
        (_argument(flag, was.get(flag)), _argument(flag, becomes.get(flag)))
        for flag in dict.fromkeys([*was, *becomes])
        if was.get(flag) != becomes.get(flag)
    ]
    return pairs or [(" ".join(before), " ".join(after))]


def _grouped(arguments: list[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Each flag with the values that follow it; leading words stand for themselves."""
    groups: list[tuple[str, tuple[str, ...]]] = []
    for argument in arguments:
        is_flag = argument.startswith("-") and not NEGATIVE_NUMBER.match(argument)
        if is_flag:
            flag, equals, value = argument.partition("=")
            groups.append((flag + equals, (value,) if equals else ()))
        elif groups and groups[-1][0].startswith("-") and not groups[-1][0].endswith("="):
            groups[-1] = (groups[-1][0], (*groups[-1][1], argument))
        else:
            groups.append((argument, ()))
    return groups


def _argument(flag: str, values: tuple[str, ...] | None) -> str | None:
    if values is None:
        return None
    return flag + " ".join(values) if flag.endswith("=") else " ".join((flag, *values))


def render_value(value: Any) -> str:
    """A value on one line: text as it is, secrets by name, shipped content by size and digest, the rest as JSON."""
    if value is None:
        return NOTHING
    if isinstance(value, SecretRef):
        return str(value)
    if isinstance(value, Mapping):
        return _render_map(value)
    text = value if isinstance(value, str) else render_json(to_data(value), indent=None).strip()
    if text == "":
        return '""'
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"


def _render_map(value: Mapping[str, Any]) -> str:
    if set(value) == {"secret"}:
        return f"(secret {value['secret']})"
    data = value.get("data")
    if isinstance(data, str) and (content := _content(data)) is not None:
        return f"{render_bytes(len(content))}, sha256 {hashlib.sha256(content).hexdigest()[:12]}"
    text = render_json(to_data(value), indent=None).strip()
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"


def _content(data: str) -> bytes | None:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None
