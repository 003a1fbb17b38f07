"""Where a service's model lies on a host, and what that says of its format. Reads only what was observed."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Iterable

from deployer.errors import Diagnostic
from deployer.formats.gguf_parts import SPLIT, split_parts
from deployer.planning.render_request import ModelFacts
from deployer.spec.language import Model
from deployer.values.facts import HostFacts, PathFact

BY_NAME = ("ollama", "builtin", "ngc")  # the backend fetches the weights itself, or has them


def format_of(model: Model, facts: PathFact | None) -> str | None:
    """`gguf` or `safetensors`; None where neither the name nor the host tells."""
    if model.location.endswith(".gguf"):
        return "gguf"
    names = facts.entries if facts else ()
    for suffix in ("gguf", "safetensors"):
        if any(name.endswith(f".{suffix}") for name in names):
            return suffix
    return None


def locate_model(model: Model, facts: HostFacts) -> ModelFacts | Diagnostic:
    """The model as a backend's container is given it, or why this host does not have it."""
    if model.scheme in BY_NAME:
        return ModelFacts(path=model.location, kind="name")
    path = posixpath.normpath(model.location)
    found = facts.paths.get(model.location)
    kind = found.kind if found else "missing"
    if found is None or kind not in ("file", "directory"):
        return _not_there(path, kind, facts.name)
    if kind == "file":
        return _file(path, facts)
    ggufs = sorted(n for n in found.entries if n.endswith(".gguf") and _included(model, n))
    if not ggufs:
        return ModelFacts(path=path, kind="directory", parts=())
    first = [n for n in ggufs if (m := SPLIT.match(n)) is None or int(m["part"]) == 1]
    if len(first) != 1:
        return Diagnostic(
            "ambiguous-model",
            f"`{path}` on host `{facts.name}` holds {len(first)} GGUF models",
            evidence=tuple(ggufs[:10]),
            hint="name one of them in `source`, or narrow `include`",
            host=facts.name,
        )
    return _parts(posixpath.join(path, first[0]), (posixpath.join(path, name) for name in found.entries), facts.name)


def _file(path: str, facts: HostFacts) -> ModelFacts | Diagnostic:
    there = (posixpath.normpath(p) for p, f in facts.paths.items() if f.kind == "file")
    return _parts(path, there, facts.name)


def _parts(path: str, there: Iterable[str], host: str) -> ModelFacts | Diagnostic:
    parts = split_parts(path)
    present = set(there if len(parts) > 1 else parts)
    missing = [p for p in parts if p not in present]
    if missing:
        return Diagnostic(
            "model-parts-missing",
            f"{len(missing)} of {len(parts)} parts of `{path}` are not on host `{host}`",
            evidence=tuple(missing[:10]),
            hint="copy all parts into one directory",
            host=host,
        )
    return ModelFacts(path=parts[0], kind="file", parts=parts)


def _included(model: Model, name: str) -> bool:
    wanted = not model.include or any(fnmatch.fnmatch(name, pattern) for pattern in model.include)
    return wanted and not any(fnmatch.fnmatch(name, pattern) for pattern in model.exclude)


def _not_there(path: str, kind: str, host: str) -> Diagnostic:
    missing = kind == "missing"
    why = {"denied": "cannot be read by deployer's user", "other": "is neither a file nor a directory"}
    look = f"`ssh {host} ls -l {posixpath.dirname(path)}` shows what is there"
    return Diagnostic(
        "model-not-found" if missing else "model-unreadable",
        f"model path `{path}` {why.get(kind, 'is not there')} on host `{host}`",
        hint=f"put the model there, or correct `source`; {look}"
        if missing
        else "make it readable, or correct `source`",
        host=host,
    )
