"""Arguments of one of several models: `--name VALUE`, as the backend's own program would take them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deployer.spec.scalars import parse_scalar


def parse_settings(args: Sequence[str]) -> dict[str, Any]:
    """`--some-name VALUE` and `--some-name=VALUE` as {"some_name": VALUE}, numbers and truths as such; a name without a
    value is true. ValueError for a word that belongs to no name."""
    found: dict[str, Any] = {}
    open_name = ""
    for arg in args:
        if arg.startswith("--") and len(arg) > 2:
            name, separator, value = arg[2:].partition("=")
            open_name = "" if separator else name.replace("-", "_")
            found[name.replace("-", "_")] = parse_scalar(value) if separator else True
        elif open_name:
            found[open_name], open_name = parse_scalar(arg), ""
        else:
            raise ValueError(f"`{arg}` belongs to no `--name`")
    return found
