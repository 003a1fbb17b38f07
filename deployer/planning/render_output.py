"""What a template may say, checked: `args`, `env`, `caches` and every key of `container`."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from deployer.dataclass import dataclass
from deployer.planning.render_template import template_error
from deployer.spec.language import Container

OWN = ("args", "env", "caches", "data")
KEYS = (*OWN, *Container.model_fields)


@dataclass(frozen=True, slots=True)
class TemplateOutput:
    """`caches`: name -> absolute path in the container, kept on the host for the service. `data`: path of a file that
    is shipped -> its content as JSON, which YAML reads too."""

    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    caches: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    container: Container = field(default_factory=Container.usual)


def parse_output(name: str, data: Any) -> TemplateOutput:
    """SpecError for anything but a map of the known keys."""
    if not isinstance(data, dict):
        raise template_error(name, f"it makes {_kind(data)}; it must make a map with `args`, `env` and such")
    for key in data:
        if key not in KEYS:
            close = difflib.get_close_matches(str(key), KEYS, n=1)
            raise template_error(name, f"unknown key `{key}`" + (f"; did you mean `{close[0]}`?" if close else ""))
    caches = _texts(name, "caches", data.get("caches"))
    for path in caches.values():
        if not path.startswith("/"):
            raise template_error(name, f"the cache `{path}` is not an absolute path")
    return TemplateOutput(
        args=_args(name, data.get("args")),
        env=_texts(name, "env", data.get("env")),
        caches=caches,
        data=_data_files(name, data.get("data")),
        container=_container(name, {key: value for key, value in data.items() if key not in OWN}),
    )


def _data_files(name: str, data: Any) -> dict[str, str]:
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise template_error(name, f"`data` is {_kind(data)}; it must be a map of paths to what these files hold")
    for path in data:
        if not isinstance(path, str) or not path.startswith("/"):
            raise template_error(name, f"the file `{path}` is not an absolute path")
    return {path: json.dumps(content, indent=1, ensure_ascii=False) + "\n" for path, content in data.items()}


def _args(name: str, data: Any) -> tuple[str, ...]:
    if data is None:
        return ()
    if not isinstance(data, list | tuple):
        raise template_error(name, f"`args` is {_kind(data)}; it must be a list")
    return tuple(_text(name, "args", item) for item in data)


def _texts(name: str, key: str, data: Any) -> dict[str, str]:
    """A map of texts; what is null is left out."""
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise template_error(name, f"`{key}` is {_kind(data)}; it must be a map")
    return {_text(name, key, k): _text(name, key, v) for k, v in data.items() if v is not None}


def _text(name: str, key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise template_error(name, f"`{key}` holds {_kind(value)}; its values are texts and numbers")


def _container(name: str, data: Mapping[str, Any]) -> Container:
    if not data:
        return Container.usual()
    from pydantic import ValidationError

    try:
        return Container.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise template_error(name, f"`{where}`: {first['msg']}") from error


def _kind(value: Any) -> str:
    kinds = {dict: "a map", list: "a list", tuple: "a list", str: "a text", type(None): "nothing"}
    return kinds.get(type(value), f"a {type(value).__name__}")
