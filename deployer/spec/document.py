"""YAML text to nodes, bounded in size, depth and aliases before anything is built. Evaluates nothing, reads no file."""

from __future__ import annotations

from deployer.errors import Diagnostic, Problems, SpecError
from deployer.spec.composer import Composer
from deployer.spec.nodes import CONTROL, Node, Source
from deployer.spec.syntax import encoding_problem

MAX_BYTES = 1_000_000


def parse_document(data: bytes, file: str, problems: Problems) -> Node | None:
    """The single document of a file; None, with the reason in `problems`, where it has none that can be read.

    Doubled keys, tags and the like are added to `problems` too, with a tree for what could be read.
    """
    try:
        source = Source(file, decoded(data, file))
        return Composer(source, problems).compose()
    except SpecError as error:
        problems.extend(error.diagnostics)
        return None


def decoded(data: bytes, file: str, most: int = MAX_BYTES) -> str:
    """The text of a file of at most so many bytes. SpecError for what is no text."""
    if len(data) > most:
        raise SpecError(
            Diagnostic(
                "file-too-large",
                f"`{file}` has {len(data):,} bytes, and {most:,} are read",
                hint="split it and name the parts with several `-f`",
            )
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(encoding_problem(data, file, error.start)) from None
    found = CONTROL.search(text)
    if found:
        raise SpecError(_control_problem(Source(file, text), found.start()))
    return text


def _control_problem(source: Source, at: int) -> Diagnostic:
    before = source.text[:at]
    line = before.count("\n") + 1
    where = source.where(line, at - (before.rfind("\n") + 1) + 1)
    name = f"U+{ord(source.text[at]):04X}"
    kind = "NUL byte" if source.text[at] == "\0" else f"control character {name}"
    hint = "remove it; inside double quotes it can be written as an escape"
    if before.count("\0") or source.text.count("\0") > len(source.text) // 4:
        hint = "save the file as UTF-8 text"
    return Diagnostic("control-character", f"a {kind} stands in the text", where, hint=hint)
