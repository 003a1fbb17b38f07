"""Names that refer to something of the spec: models, backends, profiles, secrets."""

from __future__ import annotations

from deployer.spec.check.context import Checked, walk_values
from deployer.spec.language import Service
from deployer.spec.language.container import SecretFileOptions
from deployer.spec.nodes import KeyPath
from deployer.values.secrets import SecretRef


def check_references(checked: Checked) -> None:
    for name, service in checked.spec.services.items():
        _check_service(checked, name, service)
    for profile in checked.spec.profiles:
        if "profiles" in checked.spec.profiles[profile]:
            path = ("profiles", profile, "profiles")
            checked.error("nested-profiles", "a profile lists no profiles", path, "list them in the service")
    for name in checked.spec.backends:
        _check_pin(checked, name)
    _check_doubled_pins(checked)
    _check_secrets(checked)


def _check_service(checked: Checked, name: str, service: Service) -> None:
    path: KeyPath = ("services", name)
    models = checked.names("models")
    if service.model is not None and service.model not in models:
        checked.unknown("model", service.model, models, (*path, "model"))
    elif service.model is None and all(checked.root.at(*path, key) is None for key in ("model", "models")):
        checked.error("missing-key", f"`services.{name}` lacks `model`", path, "add `model: NAME`")
    for index, entry in enumerate(service.models):
        if entry.model not in models:
            checked.unknown("model", entry.model, models, (*path, "models", index, "model"))
    if service.backend is not None and not _is_backend(checked, service.backend):
        checked.unknown("backend", service.backend, _backends(checked), (*path, "backend"))
    known = checked.names("profiles")
    for index, profile in enumerate(service.profiles):
        if profile not in known:
            checked.unknown("profile", profile, known, (*path, "profiles", index))


def _check_pin(checked: Checked, name: str) -> None:
    path: KeyPath = ("backends", name)
    base = checked.spec.backends[name].extends
    if base is None:
        if not _is_built_in(checked, name):
            checked.error(
                "unknown-backend",
                f"`{name}` is no built-in backend and extends none",
                path,
                "add `extends: NAME` with one of " + ", ".join(f"`{known}`" for known in _built_in(checked)),
            )
    elif not _is_backend(checked, base):
        checked.unknown("backend", base, _backends(checked), (*path, "extends"))
    elif _is_circular(checked, name):
        checked.error("circular-extends", f"`{name}` extends itself", (*path, "extends"), "break the circle")


def _check_doubled_pins(checked: Checked) -> None:
    """One backend under two of its names: which of the entries holds would be a guess."""
    seen: dict[str, str] = {}
    for name, pin in checked.spec.backends.items():
        backend = checked.known_backends.get(name.lower())
        if backend is None or pin.extends is not None:
            continue
        if backend in seen:
            message = f"`{name}` and `{seen[backend]}` are the same backend"
            checked.error("doubled-backend", message, ("backends", name), f"keep `{backend}`")
        seen.setdefault(backend, name)


def _is_circular(checked: Checked, name: str) -> bool:
    seen = set()
    current: str | None = name
    while current is not None and current in checked.spec.backends:
        if current in seen:
            return True
        seen.add(current)
        current = checked.spec.backends[current].extends
    return False


def _built_in(checked: Checked) -> list[str]:
    return sorted(set(checked.known_backends.values()))


def _is_built_in(checked: Checked, name: str) -> bool:
    return name.lower() in checked.known_backends


def _backends(checked: Checked) -> set[str]:
    return {*checked.known_backends, *checked.names("backends")}


def _is_backend(checked: Checked, name: str) -> bool:
    return name in checked.names("backends") or _is_built_in(checked, name)


def _check_secrets(checked: Checked) -> None:
    known = checked.names("secrets")
    for path, value in walk_values(checked.spec):
        if isinstance(value, SecretRef) and value.secret not in known:
            checked.unknown("secret", value.secret, known, path)
        elif isinstance(value, SecretFileOptions) and value.secret not in known:
            checked.unknown("secret", value.secret, known, (*path, "secret"))
