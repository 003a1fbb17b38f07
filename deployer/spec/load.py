"""The way from files to a Project: read, merge, substitute, layer, validate, check; all problems at once."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from functools import reduce

from deployer.dataclass import dataclass, replace
from deployer.errors import Diagnostic, Problems, Severity, SpecError
from deployer.spec.check import Checked, check_all
from deployer.spec.check.literals import check_literals
from deployer.spec.check.support import check_part
from deployer.spec.composer import UNUSABLE
from deployer.spec.conform import conform
from deployer.spec.document import parse_document
from deployer.spec.files import Files
from deployer.spec.hosts import with_inventories
from deployer.spec.inventory import Inventories, Withheld
from deployer.spec.language import DeploySpec, Host, Service
from deployer.spec.layers import Layers
from deployer.spec.merge import merge, settle
from deployer.spec.nodes import Node
from deployer.spec.origins import Origins, Positions
from deployer.spec.project import Project
from deployer.spec.report import reported
from deployer.spec.shape import SPEC, Kind, section
from deployer.spec.substitution import Substitution
from deployer.spec.validate import validate
from deployer.spec.written import NamedFiles, written_services

EDITIONS = frozenset({1})
SPLIT_LAYERS = ("services", "profiles", "defaults", "backends")  # their `KEY+` wait for what is below them


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """`variables` override `vars`; `inventories` come on top of `inventory`. `confined`: read nothing outside the
    current folder and those of the files given. `user_home` is what `~` stands for."""

    variables: Mapping[str, str] = field(default_factory=dict)
    inventories: tuple[str, ...] = ()
    user_home: str = "~"
    confined: bool = False


USUAL = LoadOptions()


def load(files: Sequence[str], read: Callable[[str], bytes], options: LoadOptions = USUAL) -> Project:
    """The project that one or more spec files describe, later files merged over earlier ones.

    `read` gives a file's bytes or raises OSError. Raises SpecError with all that is wrong, sorted by place.
    """
    roots = tuple(posixpath.dirname(file) for file in (*files, *options.inventories))
    source = Files(read, options.user_home, options.confined, roots)
    project = _Loading(source, options, files[0]).load(files)
    found = reported(source.problems.found)
    if project is None or any(problem.severity is Severity.ERROR for problem in found):
        raise SpecError(found)
    return replace(project, warnings=found)


@dataclass(slots=True)
class _Loading:
    files: Files
    options: LoadOptions
    path: str  # of the first spec file

    @property
    def problems(self) -> Problems:
        return self.files.problems

    def load(self, files: Sequence[str]) -> Project | None:
        documents = [self._parse(file) for file in files]
        found = [document for document in documents if document is not None]
        if not found or self._is_of_another_edition(found):
            return None
        root = _with_entries(reduce(lambda under, over: merge(under, over, SPEC), found))
        substitution = Substitution(self._variables(root), self.problems)
        root = _settled(substitution.apply(root))
        inventories = Inventories(self.files, substitution)
        sources = inventories.load(root, self.options.inventories)
        for tree in (root, *sources):  # once more: a variable of the caller may have brought one in
            check_literals(tree, self.problems)
        complete = None not in documents and not inventories.failed
        whole = with_inventories(root, [_with_entries(tree) for tree in sources])
        return self._finish(whole, inventories.withheld, complete)

    def _parse(self, file: str) -> Node | None:
        data = self.files.given(file, "the spec")
        document = parse_document(data, file, self.problems) if data is not None else None
        if document is None:
            return None
        check_literals(document, self.problems)
        return conform(document, SPEC)

    def _is_of_another_edition(self, documents: Sequence[Node]) -> bool:
        """A newer language: nothing else that could be said about the file would be true."""
        for document in documents:
            node = document.map.get("version")
            if node is None or not isinstance(node.value, int):
                continue
            if node.value is True or node.value not in EDITIONS:
                hint = "install a newer deployer, or write `version: 1`"
                message = f"this deployer does not know edition `{str(node.value).lower()}` of the language"
                self.problems.found[:] = [Diagnostic("unknown-edition", message, node.where, hint=hint)]
                return True
        return False

    def _variables(self, root: Node) -> dict[str, str]:
        """The variables of the spec under those of the caller."""
        section = root.map.get("vars")
        written = {name: node for name, node in section.map.items() if isinstance(node.value, str)} if section else {}
        literal = Substitution({}, Problems())
        values = {name: str(literal.apply(node, ("vars", name)).value) for name, node in written.items()}
        for name, value in self.options.variables.items():
            if not value.isprintable() and UNUSABLE.search(value):
                message = f"the variable `{name}` is not text in UTF-8"
                self.problems.add(Diagnostic("not-utf8", message, hint="set it to UTF-8 text"))
        return {**values, **self.options.variables}

    def _finish(self, root: Node, withheld: Withheld, complete: bool) -> Project | None:
        known = known_backends()
        layers = Layers(root, known)
        merged = _with_merged_services(root, layers)
        self._validate_parts(root)
        spec = validate(DeploySpec, merged, self.problems, partial=not complete)
        named = NamedFiles(self.files)
        named.read_all(merged)
        if spec is None or not complete:
            return None
        check_all(Checked(spec, merged, layers, known, self.problems, withheld))
        if self.problems.errors:
            return None
        return Project(
            spec=spec,
            path=self.path,
            positions=Positions(merged),
            files=named.contents,
            written=written_services(layers, named),
            origins=Origins(merged),
            layers=layers,
        )

    def _validate_parts(self, root: Node) -> None:
        """Profiles and defaults by themselves: what no service and no host uses is still read by people."""
        profiles, groups = root.map.get("profiles"), root.map.get("groups")
        services = [*(profiles.map.values() if profiles else ()), root.at("defaults", "service")]
        for part in services:
            self._validate_part(part, Service)
        for group in groups.map.values() if groups else ():
            self._validate_part(group.map.get("defaults"), Host)

    def _validate_part(self, part: Node | None, model: type[Service] | type[Host]) -> None:
        if part is not None and isinstance(part.value, dict):
            settled = settle(part, section(model))
            value = validate(model, settled, self.problems, partial=True)
            if value is not None:
                check_part(settled, value, self.problems)


def known_backends() -> dict[str, str]:
    """Every name and alias of a built-in backend -> its canonical name."""
    from deployer import backends

    return {**{name: name for name in backends.names()}, **backends.aliases()}


def _with_entries(root: Node) -> Node:
    """A named entry without a value is an empty one; where it stands on top of another, it takes that away."""
    entries = dict(root.map)
    for key, node in root.map.items():
        shape = SPEC.of(key)
        if shape.kind is Kind.MAPPING and shape.item is not None and shape.item.kind is Kind.SECTION:
            kept = {name: child for name, child in node.map.items() if not child.is_null or child.over is None}
            filled = {name: child.with_value({}) if child.is_null else child for name, child in kept.items()}
            entries[key] = node.with_value(filled) if isinstance(node.value, dict) else node
    return root.with_value(entries)


def _settled(root: Node) -> Node:
    """The spec with its own `KEY+` resolved, but for the parts that are layers of services."""
    whole = {key: node for key, node in root.map.items() if key not in SPLIT_LAYERS}
    settled = settle(root.with_value(whole), SPEC)
    return root.with_value({**settled.map, **{key: root.map[key] for key in SPLIT_LAYERS if key in root.map}})


def _with_merged_services(root: Node, layers: Layers) -> Node:
    services, backends = root.map.get("services"), root.map.get("backends")
    entries = dict(root.map)
    if services is not None and isinstance(services.value, dict):
        merged = {name: layers.merged(name) if name in layers.services else n for name, n in services.map.items()}
        entries["services"] = services.with_value(merged)
    if backends is not None:
        entries["backends"] = settle(backends, SPEC.of("backends"))
    for key in ("profiles", "defaults"):
        if key in entries:
            entries[key] = settle(entries[key], SPEC.of(key))
    return root.with_value(entries)
