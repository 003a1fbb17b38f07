"""The backends, one module each, found by name; they know nothing of each other."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from deployer.backends.base import Backend

NOT_BACKENDS = ("base", "builtin_tables", "flag_tables", "versions")


@cache
def load_all() -> tuple[Backend, ...]:
    """Every backend, by name. Imports all of their modules once."""
    found = [
        importlib.import_module(f"{__name__}.{module.name}").BACKEND
        for module in pkgutil.iter_modules(__path__)
        if module.name not in NOT_BACKENDS
    ]
    return tuple(sorted(found, key=lambda backend: backend.name))


@cache
def aliases() -> Mapping[str, str]:
    """Every other name that people type -> the canonical one."""
    return {name: backend.name for backend in load_all() for name in (*backend.aliases, *backend.replaced)}


def names() -> tuple[str, ...]:
    """The canonical names, sorted."""
    return tuple(backend.name for backend in load_all())


def find(name: str) -> Backend | None:
    """The backend of that name or alias, in any case of letters."""
    wanted = name.lower()
    wanted = aliases().get(wanted, wanted)
    return next((backend for backend in load_all() if backend.name == wanted), None)
