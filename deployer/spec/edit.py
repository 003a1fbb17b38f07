"""One setting of a service changed in the text of a spec file, every other byte kept: comments, order, quotes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, SpecError, Where


@dataclass(frozen=True, slots=True)
class Edit:
    """`text`: the whole file as it is to be; `before`: as it is written now, None where it is not."""

    file: str
    line: int  # of `text`
    setting: str
    before: str | None
    after: str
    text: str


def edited(texts: Sequence[tuple[str, str]], service: str, setting: str, value: str) -> Edit | None:
    """Where the last of the files that writes `setting` has it, else in the last one that has the service.

    `texts`: the spec files and their texts, in the order they are merged. None where it stands there already.
    SpecError where no file has it in words of its own.
    """
    found = [(file, text, node) for file, text in texts if (node := _service(text, service)) is not None]
    for file, text, node in reversed(found):
        entry = next((entry for entry in node.value if entry[0].value == setting), None)
        if entry is not None:
            return _replaced(file, text, entry, value)
    if not found:
        raise SpecError(
            Diagnostic(
                "not-editable",
                f"no file writes service `{service}` out as a map of its own",
                hint=f"set `services.{service}.{setting}: {value}` yourself, then `deployer apply`",
            )
        )
    return _inserted(*found[-1], setting, value)


def _service(text: str, service: str) -> Any:
    """The map of a service where the text has it in place, and not by an alias."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in ("services", service):
        entries = node.value if isinstance(node, yaml.MappingNode) else ()
        above, node = node, next((child for name, child in entries if name.value == key), None)
        if node is None or node.start_mark.index < above.start_mark.index or node.end_mark.index > above.end_mark.index:
            return None
    return node if isinstance(node, yaml.MappingNode) else None


def _replaced(file: str, text: str, entry: tuple[Any, Any], value: str) -> Edit | None:
    key, node = entry
    start, end = node.start_mark.index, node.end_mark.index
    written = text[start:end]
    if not isinstance(node, yaml.ScalarNode) or "${" in written or start < key.end_mark.index:
        where = Where(file, key.start_mark.line + 1, key.start_mark.column + 1)
        raise SpecError(
            Diagnostic(
                "not-editable",
                f"`{key.value}` is not written as a plain value here",
                where,
                hint=f"make it `{key.value}: {value}` yourself, then `deployer apply`",
            )
        )
    if str(node.value) == value:
        return None
    after = value if start < end else f" {value}"
    return Edit(file, key.start_mark.line + 1, key.value, written, value, text[:start] + after + text[end:])


def _inserted(file: str, text: str, node: Any, setting: str, value: str) -> Edit:
    line = f"{setting}: {value}"
    if node.flow_style:
        start = node.start_mark.index + 1
        place, text_of = node.start_mark, f"{line}, " if node.value else line
    else:
        place = node.value[0][0].start_mark
        start, end_of_line = place.index, "\r\n" if "\r\n" in text else "\n"
        text_of = f"{line}{end_of_line}{' ' * place.column}"
    return Edit(file, place.line + 1, setting, None, value, text[:start] + text_of + text[start:])
