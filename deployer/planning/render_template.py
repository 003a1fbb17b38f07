"""Templates: jinja2 -> YAML -> data, where no value ever passes through YAML text.

Each `{{ }}` leaves a placeholder; the YAML is parsed with the placeholders in it, and then the values take their
places. So a value arrives as it is, whatever it holds, and equal skeletons are parsed once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployer.errors import Diagnostic, SpecError, Where
from deployer.planning.render_skeleton import parse_skeleton

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_SOURCE = 64 * 1024
MAX_OUTPUT = 256 * 1024
OPEN, CLOSE = "\ue000", "\ue001"  # private use: no template has them
VALUES = "fuel_values"  # as render_fuel has it, which is not imported before it is needed
PLACEHOLDER = re.compile(f"{OPEN}(\\d+){CLOSE}")

KEY = rf"""(?:[\w./-]+|"[^"{OPEN}]*"|'[^'{OPEN}]*'|{OPEN})"""
BLOCK_BEFORE = re.compile(rf"\s*(?:(?:-\s+)+(?:{KEY}:\s+)?|{KEY}:\s+)")
BLOCK_AFTER = re.compile(r"(?::\s.*|:)?\s*(?:\s#.*)?")
KEY_AFTER = re.compile(r":(?:\s.*)?")
FLOW_BEFORE = re.compile(rf"\s*(?:-\s+)*(?:{KEY}:\s+)?[\[{{](?:.*(?:[\[{{,]|:\s))?\s*")
FLOW_AFTER = re.compile(r"\s*(?:[,\]}]|:\s).*")
BLOCK_SCALAR = re.compile(r".*[:-]\s+[|>][+-]?\d?[+-]?\s*")


def template_error(name: str, message: str, line: int = 0, text: str = "") -> SpecError:
    where = Where(name, line, 1, text) if line else None
    place = f" line {line}" if line else ""
    return SpecError(Diagnostic("bad-template", f"template `{name}`{place}: {message}", where))


@cache
def builtin_template(name: str) -> str:
    """A template that comes with deployer: from the wheel, or from beside the package."""
    for folder in Path(__file__).parents[1:3]:
        if (file := folder / "templates" / name).is_file():
            return file.read_text("utf-8")
    raise FileNotFoundError(name)


def render_template(name: str, source: str, context: Mapping[str, Any]) -> Any:
    """The data a template makes of `context`. SpecError names the template and, where it is known, the line."""
    from jinja2 import TemplateError

    from deployer.planning.render_fuel import Fuel, fuel_names

    template = compiled(name, source)
    values: list[Any] = []
    names = dict(context) | fuel_names(Fuel()) | {VALUES: values}
    try:
        text = "".join(_capped(template.generate(names)))
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        line = _line_of(error, template.filename or "")
        message = getattr(error, "message", None) or str(error) or type(error).__name__
        raise template_error(name, message, line, _text_at(source, line)) from error
    try:
        return _filled(parse_skeleton(text), values)
    except ValueError as error:
        raise template_error(name, str(error)) from error


def compiled(name: str, source: str) -> Template:
    """A template ready to render. SpecError names the line that is wrong."""
    return _understood(name, source)[0]


def names_read_by(name: str, source: str) -> frozenset[str]:
    """The names of its context that a template reads; of `gpus` it may see the number all the same."""
    return _understood(name, source)[1]


@lru_cache(maxsize=64)
def _understood(name: str, source: str) -> tuple[Template, frozenset[str]]:
    from jinja2 import Template, TemplateSyntaxError

    from deployer.planning.render_fuel import Fuelled, RefusedNode
    from deployer.planning.render_reads import names_read

    _check_source(name, source)
    environment = _environment()
    try:
        _check_scalars(name, source, environment)
        tree = environment.parse(source, name)
        reads = names_read(tree)
        code = environment.compile(Fuelled().visit(tree), name, f"template {name}")
        return Template.from_code(environment, code, environment.make_globals(None)), reads
    except TemplateSyntaxError as error:
        raise template_error(name, error.message or "", error.lineno, _text_at(source, error.lineno)) from error
    except RefusedNode as error:
        raise template_error(name, str(error), error.line, _text_at(source, error.line)) from error
    except (SyntaxError, RecursionError, MemoryError, OverflowError) as error:
        raise template_error(name, "it is nested too deeply") from error


def _filled(item: Any, values: list[Any]) -> Any:
    """The parsed skeleton with every placeholder replaced by its value."""
    if isinstance(item, dict):
        return {_filled(key, values): _filled(value, values) for key, value in item.items()}
    if isinstance(item, list):
        return [_filled(value, values) for value in item]
    if not isinstance(item, str) or OPEN not in item:
        return item
    match = PLACEHOLDER.fullmatch(item)
    if match is None:
        raise ValueError("a `{{ }}` is glued to other text; write the whole value as one expression")
    return values[int(match[1])]


def _capped(chunks: Iterator[str]) -> Iterator[str]:
    left = MAX_OUTPUT
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise ValueError(f"it makes more than {MAX_OUTPUT} characters")
        yield chunk


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    from deployer.planning.render_fuel import TemplateEnvironment

    return TemplateEnvironment(placeholder=lambda index: f"{OPEN}{index}{CLOSE}")


def _check_source(name: str, source: str) -> None:
    if len(source) > MAX_SOURCE:
        raise template_error(name, f"it is longer than {MAX_SOURCE} characters")
    if OPEN in source or CLOSE in source:
        raise template_error(name, "it holds private-use characters (U+E000, U+E001)")


def _check_scalars(name: str, source: str, environment: ImmutableSandboxedEnvironment) -> None:
    """Every `{{ }}` is a whole YAML scalar; block scalars would take it for text."""
    flat, lines = _flattened(source, environment)
    seen = 0
    for text in flat.split("\n"):
        for at in (i for i, character in enumerate(text) if character == OPEN):
            if not _is_whole(text[:at], text[at + 1 :]):
                raise template_error(
                    name,
                    "a `{{ }}` is glued to other text; write the whole value as one expression, "
                    "as in `- {{ '--model=' ~ model.path }}`",
                    lines[seen],
                    _text_at(source, lines[seen]),
                )
            seen += 1
        if BLOCK_SCALAR.fullmatch(text):
            line = next((n for n, t in enumerate(source.split("\n"), 1) if BLOCK_SCALAR.fullmatch(t)), 0)
            raise template_error(name, "block scalars (`|`, `>`) are not for templates", line, text)


def _flattened(source: str, environment: ImmutableSandboxedEnvironment) -> tuple[str, list[int]]:
    """The template with blocks and comments gone and each `{{ }}` as one character; and the lines of these."""
    flat, lines, inside = [], [], False
    for line, token, value in environment.lexer.tokeniter(source, None):
        if token == "data" and not inside:
            flat.append(value)
        elif token == "variable_begin":
            flat.append(OPEN)
            lines.append(line)
    return "".join(flat), lines


def _is_whole(before: str, after: str) -> bool:
    if BLOCK_BEFORE.fullmatch(before):
        return BLOCK_AFTER.fullmatch(after) is not None
    if not before.strip():
        return KEY_AFTER.fullmatch(after) is not None
    return FLOW_BEFORE.fullmatch(before) is not None and FLOW_AFTER.fullmatch(after) is not None


def _line_of(error: BaseException, filename: str) -> int:
    """The template's line an error comes from: jinja2 rewrites the traceback so that it shows them."""
    line, at = 0, error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename == filename:
            line = at.tb_lineno
        at = at.tb_next
    return line


def _text_at(source: str, line: int) -> str:
    lines = source.splitlines()
    return lines[line - 1] if 0 < line <= len(lines) else ""
