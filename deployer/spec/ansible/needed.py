"""Variables that are needed as text: why one cannot be had, in words. Evaluates no template and decrypts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, Problems
from deployer.spec.nodes import Node, shown

VAULT = "$ANSIBLE_VAULT"
TEMPLATE = ("{{", "{%", "{#")
JSON_VAULT = "__ansible_vault"  # how `ansible-inventory --list` writes an encrypted value
TRUE = frozenset({"true", "yes", "on", "y", "t", "1"})
FALSE = frozenset({"false", "no", "off", "n", "f", "0", ""})
LONGEST = 60  # characters of a value in a message


def obstacle(name: str, node: Node) -> Diagnostic | None:
    """Why a variable is no plain text, at its place; None where it is."""
    value = node.value
    if JSON_VAULT in node.map or (isinstance(value, str) and value.lstrip().startswith(VAULT)):
        message, hint = f"`{name}` is encrypted with Ansible Vault", "write it in plain text where it is no secret"
        return Diagnostic("ansible-vault", message, node.where, hint=hint)
    if isinstance(value, str) and any(mark in value for mark in TEMPLATE):
        message = f"`{name}` is a Jinja template, and none is evaluated"
        return Diagnostic("ansible-jinja", message, node.where, hint="write the value itself")
    if isinstance(value, dict | list):
        kind = "a map" if isinstance(value, dict) else "a list"
        message = f"`{name}` is {kind}, and only text can be used"
        return Diagnostic("ansible-not-text", message, node.where, hint="add a variable that holds the text alone")
    if value is None:
        return Diagnostic("ansible-not-text", f"`{name}` has no value", node.where, hint="write one")
    return None


def text_of(node: Node) -> str:
    """A scalar as it was typed."""
    if isinstance(node.value, bool):
        return node.written or str(node.value).lower()
    return node.written or str(node.value)


@dataclass(slots=True)
class Needed:
    """The variables of one host, asked for by name; what is in the way of one is reported once for all hosts."""

    variables: Mapping[str, Node]
    problems: Problems
    said: set[tuple[str, int, int, str]] = field(default_factory=set)

    def text(self, *names: str) -> Node | None:
        """The last of these that is set, as Ansible takes its old names; a node whose value is text, never empty."""
        found = None
        for name in names:
            node = self.variables.get(name)
            if node is not None and node.value not in (None, ""):
                found = (name, node)
        if found is None:
            return None
        name, node = found
        problem = obstacle(name, node)
        if problem is not None:
            self.report(problem)
            return None
        return node.with_value(text_of(node))

    def flag(self, *names: str) -> bool | None:
        """Whether a variable is on, in any of YAML 1.1's words for it."""
        node = self.text(*names)
        if node is None:
            return None
        word = str(node.value).lower()
        if word not in TRUE | FALSE:
            self.refuse("bad-value", f"`{names[-1]}` is `{shown(word, LONGEST)}`", node, "write `true` or `false`")
        return word in TRUE

    def refuse(self, code: str, message: str, node: Node, hint: str) -> None:
        self.report(Diagnostic(code, message, node.where, hint=hint))

    def report(self, problem: Diagnostic) -> None:
        where = problem.where
        identity = (where.file, where.line, where.column, problem.message) if where else ("", 0, 0, problem.message)
        if identity not in self.said:
            self.said.add(identity)
            self.problems.add(problem)


Withheld = Mapping[str, Mapping[str, Diagnostic]]  # host -> variable -> why it cannot be used
