"""`${var.NAME}` at load time, the other substitutions when a replica is rendered. Nothing else is ever evaluated."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from deployer.dataclass import dataclass, replace
from deployer.errors import Diagnostic, Problems, SpecError
from deployer.spec.nodes import KeyPath, Node
from deployer.spec.suggestions import listing, nearest, suggestion

PART = re.compile(r"\$\$\{|\$\{(?P<name>[^{}$\n]*|\$)\}|\$\{")
WHOLE_VARIABLE = re.compile(r"\$\{var\.[^{}]*\}\Z")
DOLLAR = "$"  # `${$}` is a literal `$`; loading writes it where a `$` would otherwise touch a `${`

RENDERED_NAMES = frozenset({
    "host.name", "host.address", "host.uid", "host.gid", "host.user", "model.path", "port", "replica.index",
    "gpu.uuids", "service.name", "project",
})  # fmt: skip
HOST_VARIABLE = "host.vars."
RENDERED_KEYS = frozenset({"args", "env", "container", "options"})  # of a service: substituted per replica
READ_AT_LOAD = (("options", "chat_template"), ("container", "files", None, "path"))  # files: one content for all


@dataclass(frozen=True, slots=True)
class _Name:
    text: str  # what stands between `${` and `}`
    complete: bool = True


def _parts(text: str) -> Iterator[str | _Name]:
    """Literal pieces and names, in order; `$${` and `${$}` are already literals."""
    end = 0
    for match in PART.finditer(text):
        if match.start() > end:
            yield text[end : match.start()]
        end = match.end()
        name = match["name"]
        if match[0] == "$${":
            yield "${"
        elif name == DOLLAR:
            yield DOLLAR
        else:
            yield _Name(name, True) if name is not None else _Name(text[match.start() : match.start() + 24], False)
    if end < len(text):
        yield text[end:]


def names_in(text: str) -> tuple[str, ...]:
    """The names a text substitutes, in order."""
    return tuple(part.text for part in _parts(text) if isinstance(part, _Name) and part.complete)


def substitute(text: str, lookup: Mapping[str, str]) -> str:
    """The text of one replica: names replaced, `$${` turned into `${`, values never looked at again.

    Raises SpecError (without a place) for a name that `lookup` lacks.
    """
    return "".join(part if isinstance(part, str) else _looked_up(part, lookup) for part in _parts(text))


def _looked_up(name: _Name, lookup: Mapping[str, str]) -> str:
    if not name.complete:
        raise SpecError(_malformed(name))
    if name.text not in lookup:
        raise SpecError(
            Diagnostic(
                "unknown-substitution",
                f"`${{{name.text}}}` has no value here",
                hint=suggestion(name.text, lookup, "there are"),
            )
        )
    return lookup[name.text]


def _malformed(name: _Name) -> Diagnostic:
    return Diagnostic(
        "bad-substitution", f"`{name.text}` does not end in a `}}`", hint="close it, or write `$${` for a literal `${`"
    )


def _escaped(parts: list[str | _Name]) -> str:
    """The text that `substitute` reads as these parts."""
    text = ""
    for index, part in enumerate(parts):
        if isinstance(part, _Name):
            text += f"${{{part.text}}}"
            continue
        part = part.replace("${", "$${")
        if index + 1 < len(parts):  # what follows starts with `${`
            body = part.rstrip("$")
            part = body + "${$}" * (len(part) - len(body))
        text += part
    return text


@dataclass(slots=True)
class Substitution:
    """Load-time substitution over trees; collects what is wrong with names."""

    variables: Mapping[str, str]
    problems: Problems

    def apply(self, node: Node, path: KeyPath = ()) -> Node:
        """The tree with `${var.*}` replaced. Texts that are rendered later stay escaped for `substitute`."""
        if isinstance(node.value, str):
            return self._text(node, path) if "${" in node.value else node
        if isinstance(node.value, list):
            return node.with_value([self.apply(item, (*path, index)) for index, item in enumerate(node.value)])
        if isinstance(node.value, dict):
            return node.with_value({key: self._entry(key, child, (*path, key)) for key, child in node.map.items()})
        return node

    def _entry(self, key: str, child: Node, path: KeyPath) -> Node:
        if "${" in key:
            self._report("substitution-in-key", f"the key `{key}` holds `${{`", child, "substitute in values only")
        return self.apply(child, path)

    def _text(self, node: Node, path: KeyPath) -> Node:
        assert isinstance(node.value, str)
        if path[:1] == ("vars",):
            return node.with_value(self._variable_text(node))
        rendered, known = is_rendered(path), len(self.problems.found)
        parts: list[str | _Name] = []
        for part in _parts(node.value):
            if len(self.problems.found) > known:
                break
            value = part if isinstance(part, str) else self._value(part, node, rendered)
            if isinstance(value, str) and parts and isinstance(parts[-1], str):
                parts[-1] += value
            else:
                parts.append(value)
        text = _escaped(parts) if rendered else "".join(part for part in parts if isinstance(part, str))
        whole = WHOLE_VARIABLE.match(node.value) is not None
        broken = len(self.problems.found) > known
        return replace(node, value=text, written=None, from_variable=whole, is_broken=broken)

    def _value(self, name: _Name, node: Node, rendered: bool) -> str | _Name:
        """What a name stands for at load time: itself, where it is for rendering."""
        if not name.complete:
            self.problems.add(replace(_malformed(name), where=node.where))
            return ""
        kind, _, variable = name.text.partition(".")
        if kind == "var":
            if variable in self.variables:
                return self.variables[variable]
            self._unknown_variable(variable, node)
            return ""
        if name.text not in RENDERED_NAMES and not name.text.startswith(HOST_VARIABLE):
            self._report("unknown-substitution", f"`${{{name.text}}}` is not known", node, _remedy(name.text))
            return ""
        if not rendered:
            self._report(
                "substitution-not-here",
                f"`${{{name.text}}}` is known only once a replica has its place, and this key is needed before",
                node,
                "use it in " + listing(RENDERED_KEYS) + " of a service, or use `${var.NAME}`",
            )
            return ""
        return name

    def _variable_text(self, node: Node) -> str:
        parts = list(_parts(str(node.value)))
        if any(isinstance(part, _Name) for part in parts):
            hint = "write the value itself; `$${` is a literal `${`"
            self._report("substitution-in-variable", "a variable cannot use another one", node, hint)
        return "".join(part for part in parts if isinstance(part, str))

    def _unknown_variable(self, variable: str, node: Node) -> None:
        found = nearest(variable, self.variables)
        hint = (
            f"did you mean `${{var.{found}}}`?"
            if found
            else f"add `{variable}` to `vars`, or pass `--var {variable}=...`"
        )
        self._report("unknown-variable", f"the variable `{variable}` has no value", node, hint)

    def _report(self, code: str, message: str, node: Node, hint: str) -> None:
        self.problems.add(Diagnostic(code, message, node.where, hint=hint))


def is_rendered(path: KeyPath) -> bool:
    """Whether the text under a path of the spec is substituted again for each replica."""
    match path:
        case ("services" | "profiles", _, str(key), *rest):
            pass
        case ("defaults", "service", str(key), *rest):
            pass
        case ("backends", _, str(key), *rest):
            pass
        case _:
            return False
    inner = (key.rstrip("+"), *rest)
    if inner[0] == "models":
        inner = inner[2:] or inner  # the same keys, of one of several models
    return inner[0] in RENDERED_KEYS and not any(_matches(inner, pattern) for pattern in READ_AT_LOAD)


def _matches(path: tuple[object, ...], pattern: tuple[str | None, ...]) -> bool:
    return len(path) == len(pattern) and all(want in (None, got) for got, want in zip(path, pattern, strict=True))


def _remedy(name: str) -> str:
    if name.startswith(("secret.", "secrets.")):
        return f"write `{{secret: {name.partition('.')[2]}}}` as the whole value"
    if name.startswith("env."):
        return f"use `${{var.{name[4:].lower()}}}` and set `DEPLOYER_VAR_{name[4:].upper()}`"
    known = nearest(name, [*RENDERED_NAMES, "host.vars.NAME", "var.NAME"], cutoff=0.75)
    return (
        f"did you mean `${{{known}}}`?" if known else f"write `$${{{name}}}` for the literal text, or `${{var.NAME}}`"
    )
