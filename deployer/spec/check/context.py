"""What every check looks at: the validated spec, the tree it was made from, and where to put what is found."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import field
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, Problems, Where, warning
from deployer.spec.inventory import Withheld
from deployer.spec.labels import LabelIndex
from deployer.spec.language import DeploySpec, Rule
from deployer.spec.layers import Layers
from deployer.spec.nodes import KeyPath, Node
from deployer.spec.suggestions import suggestion

ENOUGH = 200  # problems after which suggestions are no longer worked out


@dataclass(frozen=True)
class Checked:
    """`root`: everything that was written, merged, also what validation left out of `spec`."""

    spec: DeploySpec
    root: Node
    layers: Layers
    known_backends: Mapping[str, str]
    problems: Problems
    withheld: Withheld = field(default_factory=Withheld)
    selections: dict[object, frozenset[str]] = field(default_factory=dict)  # hosts, by what selects them

    def names(self, section: str) -> Set[str]:
        """The names under a section in their order, also of entries that are wrong in themselves."""
        node = self.root.at(section)
        return node.map.keys() if node is not None else frozenset()

    @cached_property
    def hosts_and_groups(self) -> frozenset[str]:
        return frozenset({*self.names("hosts"), *self.names("groups")})

    @cached_property
    def labels(self) -> LabelIndex:
        return LabelIndex(self.spec.hosts)

    def where(self, path: KeyPath) -> Where:
        """The place of a key, or of the nearest part of its path that was written."""
        for end in range(len(path), 0, -1):
            node = self.root.at(*path[:end])
            if node is not None:
                return node.where
        return self.root.where

    def error(self, code: str, message: str, path: KeyPath, hint: str) -> None:
        self.problems.add(Diagnostic(code, message, self.where(path), hint=hint))

    def warn(self, code: str, message: str, path: KeyPath, hint: str) -> None:
        self.problems.add(warning(code, message, self.where(path), hint))

    def breach(self, rule: Rule, message: str, path: KeyPath, hint: str) -> None:
        """An error or a warning as the spec's policy has it; nothing where it has none."""
        if rule in self.spec.policy.deny:
            self.error(rule, f"{message}, which the policy denies", path, hint)
        elif rule in self.spec.policy.warn:
            self.warn(rule, message, path, hint)

    def unknown(self, what: str, name: str, known: Collection[str], path: KeyPath) -> None:
        """An error: nothing of this kind has that name."""
        node = self.root.at(*path)
        if node is not None and node.is_broken:
            return
        hint = suggestion(name, known, "there are") if known else "there is none yet: add it"
        hint = hint if len(self.problems.found) < ENOUGH else "correct it"
        message = f"there is no {what} `{name}`"
        self.problems.add(Diagnostic(f"unknown-{what.replace(' ', '-')}", message, self.where(path), hint=hint))


def walk_values(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every value of a validated model that was written, by path."""
    pending = [(path, value)]
    while pending:
        path, value = pending.pop()
        yield path, value
        inner: list[tuple[str | int, Any]] = []
        if isinstance(value, BaseModel):
            inner = [(name, getattr(value, name)) for name in value.model_fields_set]
        elif isinstance(value, dict):
            inner = [*value.items()]
        elif isinstance(value, (tuple, list)):
            inner = [*enumerate(value)]
        pending += [((*path, key), item) for key, item in reversed(inner)]
