"""What a YAML parser or decoder complains of, in words that say what to change."""

from __future__ import annotations

import re
from typing import Any

import yaml

from deployer.errors import Diagnostic
from deployer.spec.nodes import Source

BOMS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
LEADING_TAB = re.compile(r"[ ]*\t")
BARE_SUBSTITUTION = re.compile(r"\$\{")
HINTS = (
    ("mapping values are not allowed", "quote text that holds `: `, or check the indentation"),
    ("could not find expected ':'", "add the `:` after the key, or check the indentation"),
    ("did not find expected key", "check the indentation of this line and the one above"),
    ("did not find expected '-' indicator", "check the indentation: items of a list start with `- ` in one column"),
    ("did not find expected ',' or", "close the bracket, or quote the text before it"),
    ("expected ',' or", "close the bracket, or quote the text before it"),
    ("unexpected end of stream", "close the quote"),
    ("cannot start any token", "quote the text: it starts with a character that means something in YAML"),
    ("unknown escape character", "write `\\\\` for a backslash, or use single quotes"),
    ("expected node content", "close the bracket before it, or write a value"),
    ("block entries are not allowed", "put the list on a line of its own, below its key"),
)


def encoding_problem(data: bytes, file: str, at: int) -> Diagnostic:
    name = next((name for bom, name in BOMS if data.startswith(bom)), None)
    if name:
        return Diagnostic("not-utf8", f"`{file}` is {name}", Source(file, "").where(1, 1), hint="save it as UTF-8")
    before = data[:at]
    line = before.count(b"\n") + 1
    start = before.rfind(b"\n") + 1
    text = data[start:].split(b"\n", 1)[0].decode("utf-8", "replace")
    column = len(data[start:at].decode("utf-8", "replace")) + 1
    where = Source(file, "\n" * (line - 1) + text).where(line, column)
    message = f"byte 0x{data[at]:02X} at offset {at} is not UTF-8"
    return Diagnostic("not-utf8", message, where, hint="save the file as UTF-8")


def syntax_problem(source: Source, error: yaml.YAMLError) -> Diagnostic:
    mark: Any = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "the text is not YAML")
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    line = min(line, len(source.lines))
    if line == len(source.lines) and not source.lines[line - 1].strip():
        return _unfinished(source, problem)
    text = source.lines[line - 1]
    where = source.where(line, column)
    if LEADING_TAB.match(text):
        return Diagnostic("tab-indentation", "a tab stands in the indentation", where, hint="indent with spaces")
    context: Any = getattr(error, "context_mark", None)
    evidence: tuple[str, ...] = ()
    if context is not None and context.line + 1 < line:
        start = source.where(context.line + 1, context.column + 1)
        evidence = (f"{getattr(error, 'context', '')}, from line {start.line}: {start.text}",)
    return Diagnostic("yaml-syntax", problem.rstrip("."), where, evidence=evidence, hint=_hint(problem, text))


def _unfinished(source: Source, problem: str) -> Diagnostic:
    """The parser ran into the end of the file: the last line that says something is shown."""
    line = max((number for number, text in enumerate(source.lines, 1) if text.strip()), default=1)
    where = source.where(line, len(source.lines[line - 1]) + 1)
    hint = "close the bracket or quote that is still open"
    return Diagnostic("yaml-syntax", f"the file ends too early: {problem}", where, hint=hint)


def _hint(problem: str, text: str) -> str:
    if BARE_SUBSTITUTION.search(text) and ("expected ','" in problem or "expected key" in problem):
        return 'inside `{}` and `[]` quote what holds `${...}`: `"${var.NAME}"`'
    return next((hint for part, hint in HINTS if part in problem), "correct the YAML here")
