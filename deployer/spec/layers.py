"""The layers of a service: backend < `defaults` < profiles < service, merged on demand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from functools import cached_property, reduce

from deployer.dataclass import dataclass
from deployer.spec.language import BackendPin, Service
from deployer.spec.merge import merge, settle
from deployer.spec.nodes import Node, relabelled
from deployer.spec.shape import SERVICE

PINNED_KEYS = tuple(key for key in BackendPin.model_fields if key in Service.model_fields)


@dataclass(frozen=True)
class Layers:
    """A merged spec, and the canonical name of every built-in backend by name and alias."""

    root: Node
    known_backends: Mapping[str, str] = field(default_factory=dict)
    _merged: dict[tuple[str, str | None, tuple[int, ...]], Node] = field(default_factory=dict, init=False, repr=False)

    def merged(self, name: str, backend: str | None = None, overrides: tuple[int, ...] = ()) -> Node:
        """A service with its layers in it. `backend`: the chosen one, where the service names none. `overrides`: those
        that hold, by their place in the list."""
        named = self.backend_of(name) or backend
        key = (name, named, overrides)
        if key not in self._merged:
            layers = [*self.pin_layers(named), *self._shared(name), self.services[name]]
            whole = reduce(_on_top, layers)
            self._merged[key] = settle(reduce(_on_top, _overriding(whole, overrides), whole), SERVICE)
        return self._merged[key]

    def backend_of(self, name: str) -> str | None:
        """The backend a service names, by itself or by a layer below it."""
        layers = [*self._shared(name), self.services[name]]
        return next((layer.text("backend") for layer in reversed(layers) if "backend" in layer.map), None)

    def profiles_of(self, name: str) -> list[Node]:
        """The names of profiles that a service lists, as nodes."""
        own = self.services[name]
        node = _on_top(self._defaults, own).map.get("profiles") if self._defaults else own.map.get("profiles")
        return [item for item in node.items if isinstance(item.value, str)] if node else []

    def pins_of(self, backend: str | None) -> list[str]:
        """The entries of `backends` that say something of a backend, the most basic first."""
        found: list[str] = []
        name = backend
        while name is not None:
            entry = self._pin_named(name)
            if entry is None or entry in found:
                break
            found.insert(0, entry)
            name = self._pins[entry].text("extends")
        return found

    def pin_layers(self, backend: str | None) -> Iterator[Node]:
        for name in self.pins_of(backend):
            yield self._pin_layers[name]

    @cached_property
    def services(self) -> dict[str, Node]:
        return _maps(self.root.at("services"))

    @cached_property
    def _pins(self) -> dict[str, Node]:
        return _maps(self.root.at("backends"))

    @cached_property
    def _pin_layers(self) -> dict[str, Node]:
        return {name: relabelled(_pinned_settings(pin), f"backend {name}") for name, pin in self._pins.items()}

    @cached_property
    def _profiles(self) -> dict[str, Node]:
        profiles = _maps(self.root.at("profiles"))
        return {name: relabelled(profile, f"profile {name}") for name, profile in profiles.items()}

    @cached_property
    def _defaults(self) -> Node | None:
        node = self.root.at("defaults", "service")
        return relabelled(node, "defaults") if node is not None and isinstance(node.value, dict) else None

    def _shared(self, name: str) -> Iterator[Node]:
        if self._defaults is not None:
            yield self._defaults
        for profile in self.profiles_of(name):
            if profile.value in self._profiles:
                yield self._profiles[str(profile.value)]

    def _pin_named(self, name: str) -> str | None:
        """The entry under this name, or under another name of the same built-in backend."""
        same = self.known_backends.get(name.lower())
        if name in self._pins or same is None:
            return name if name in self._pins else None
        return next((entry for entry in self._pins if self.known_backends.get(entry) == same), None)


def _maps(node: Node | None) -> dict[str, Node]:
    return {name: child for name, child in node.map.items() if isinstance(child.value, dict)} if node else {}


def _pinned_settings(pin: Node) -> Node:
    return pin.with_value({key: child for key, child in pin.map.items() if key.rstrip("+") in PINNED_KEYS})


def _overriding(service: Node, which: tuple[int, ...]) -> list[Node]:
    """The settings of some of the service's overrides, as layers."""
    written = service.map.get("overrides")
    found = [written.items[index] for index in which] if written is not None else []
    return [
        relabelled(node.with_value({key: child for key, child in node.map.items() if key != "gpu"}), "overrides")
        for node in found
    ]


def _on_top(under: Node, over: Node) -> Node:
    """One layer on another. A version above an image takes the image's place: the version would be silently lost."""
    version, image = over.map.get("version"), over.map.get("image")
    if version is not None and not version.is_null and image is None and "image" in under.map:
        under = under.with_value({key: child for key, child in under.map.items() if key != "image"})
    return merge(under, over, SERVICE)
