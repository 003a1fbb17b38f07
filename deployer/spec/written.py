"""What people wrote about each service, to tell an edit of the spec from a changed built-in default."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, Problems
from deployer.spec.files import MAX_FILE, Files, too_large
from deployer.spec.layers import Layers
from deployer.spec.nodes import Node, plain


@dataclass(slots=True)
class NamedFiles:
    """Contents of the files that services and backends name, by the path as written."""

    files: Files
    contents: dict[str, bytes] = field(default_factory=dict)
    _resolved: dict[str, str] = field(default_factory=dict)

    def read_all(self, root: Node) -> None:
        for section in ("services", "backends"):
            node = root.at(section)
            for entry in node.map.values() if node is not None else ():
                for named, what in _file_nodes(entry):
                    self._read(named, what)

    def digests(self, entry: Node) -> dict[str, str]:
        """SHA-256 of the files that a service or backend names."""
        named = [str(node.value) for node, _ in _file_nodes(entry)]
        return {path: hashlib.sha256(self.contents[path]).hexdigest() for path in named if path in self.contents}

    def _read(self, node: Node, what: str) -> None:
        if node.is_broken:
            return
        path = str(node.value)
        resolved = self.files.resolved(path, node.source.file)
        if self._resolved.setdefault(path, resolved) != resolved:
            message = f"`{path}` means `{resolved}` here and `{self._resolved[path]}` in another file"
            self._problems.add(
                Diagnostic("ambiguous-path", message, node.where, hint="write the two paths differently")
            )
            return
        data = self.files.content(node, what)
        if data is not None and len(data) > MAX_FILE:
            self._problems.add(too_large(len(data), node, what))
        elif data is not None:
            self.contents[path] = data

    @property
    def _problems(self) -> Problems:
        return self.files.problems


def _file_nodes(entry: Node) -> Iterator[tuple[Node, str]]:
    """The nodes of a service or backend that name a file beside the spec."""
    template = entry.at("template")
    if template is not None and isinstance(template.value, str):
        yield template, "the template"
    chat_template = entry.at("options", "chat_template")
    if chat_template is not None and isinstance(chat_template.value, str) and _is_path(chat_template.value):
        yield chat_template, "the chat template"
    files = entry.at("container", "files")
    for shipped in files.map.values() if files is not None else ():
        path = shipped.map.get("path")
        if path is not None and isinstance(path.value, str):
            yield path, "the file"


def _is_path(text: str) -> bool:
    return "/" in text or text.endswith(".jinja")


def written_services(layers: Layers, named: NamedFiles) -> Mapping[str, Any]:
    """For each service its merged settings, its model, the `backends` entries that concern it and its files."""
    return {name: _written(layers, named, name) for name in layers.services}


def _written(layers: Layers, named: NamedFiles, name: str) -> dict[str, Any]:
    merged = layers.merged(name)
    backend = layers.backend_of(name)
    pins = layers.root.at("backends")
    entries = pins.map if pins is not None else {}
    concerned = layers.pins_of(backend) if backend is not None else sorted(entries)
    names = _models_of(merged)
    models = [layers.root.at("models", model) for model in names]
    digests = named.digests(merged)
    for pin in concerned:
        digests |= named.digests(entries[pin])
    return {
        "service": plain(merged),
        "model": plain(models[0]) if models and models[0] is not None else None,
        **({"others": [plain(model) for model in models[1:] if model is not None]} if models[1:] else {}),
        "backends": {pin: plain(entries[pin]) for pin in concerned},
        "files": digests,
    }


def _models_of(merged: Node) -> list[str]:
    """Names of a service's models."""
    several = merged.at("models")
    named = [entry.text("model") for entry in several.items] if several is not None else []
    return [name for name in (merged.text("model"), *named) if name is not None]
