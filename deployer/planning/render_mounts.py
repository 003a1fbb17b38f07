"""What a container sees of the host: weights, caches, and the spec's `volumes` and files."""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from deployer.errors import Diagnostic, SpecError
from deployer.planning.render_request import ModelFacts, RenderRequest
from deployer.spec.language.container import SecretFileOptions, ShippedFileOptions
from deployer.values.container import Mount, SecretFile, ShippedFile
from deployer.values.secrets import SecretRef

PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
NO_EFFECT = ("rw", "consistent", "cached", "delegated")
OPTIONS = ("ro", *NO_EFFECT, "z", "Z", "nocopy", *PROPAGATIONS)


def model_target(model: ModelFacts, folder: str = "/models") -> str:
    """Where the weights are in the container, or the name by which the backend knows them."""
    if model.kind == "name":
        return model.path
    if model.cached is not None:
        root = posixpath.join(folder, posixpath.basename(model.cached.root))
        return posixpath.normpath(posixpath.join(root, posixpath.relpath(model.path, model.cached.root)))
    return posixpath.join(folder, posixpath.basename(posixpath.normpath(model.path)) or "model")


def model_mounts(model: ModelFacts, folder: str = "/models") -> Iterator[Mount]:
    """A directory, a file, or all parts of a split GGUF, which llama.cpp looks for beside the first; read-only. Of the
    cache a model's whole folder: its files are links into it."""
    if model.cached is not None:
        yield Mount(model.cached.root, posixpath.join(folder, posixpath.basename(model.cached.root)), read_only=True)
        return
    for path in dict.fromkeys((model.path, *model.parts)) if model.kind != "name" else ():
        yield Mount(
            path, posixpath.join(folder, posixpath.basename(posixpath.normpath(path)) or "model"), read_only=True
        )


def lora_target(name: str, path: str) -> str:
    return f"/loras/{name}" + (".gguf" if path.endswith(".gguf") else "")


def cache_mounts(request: RenderRequest, caches: Mapping[str, str]) -> Iterator[Mount]:
    """Compile caches: read-write, kept on the host for the service, made by deployer."""
    spec, root = request.project.spec, request.host.cache_dir
    owner = f"{spec.project}-{spec.id}" if spec.id else spec.project
    for name, target in sorted(caches.items()):
        yield Mount(posixpath.join(root, "compile", owner, request.service_name, name), target, create=True)


def parse_volume(text: str) -> Mount:
    """`SOURCE:TARGET[:OPTIONS]` as `docker run -v` reads it: an absolute path or a named volume. ValueError else."""
    source, separator, rest = text.partition(":")
    target, _, words = rest.partition(":")
    options = [word for word in words.split(",") if word] if words else []
    unknown = [word for word in options if word not in OPTIONS]
    if not separator or not source or not target:
        raise ValueError(
            f"`{text}` is not a volume; write it as `/on/the/host:/in/the/container` with `:ro` for read-only"
        )
    if unknown:
        raise ValueError(f"`{text}` has the unknown option `{unknown[0]}`; Docker knows " + ", ".join(OPTIONS))
    if not target.startswith("/"):
        raise ValueError(f"`{text}` goes to `{target}`, which is not an absolute path in the container")
    if _clean(target) == "/":
        raise ValueError(f"`{text}` would hide the whole image; mount it below `/`")
    is_bind = source.startswith("/")
    if not is_bind and ("/" in source or source.startswith((".", "~"))):
        raise ValueError(f"`{text}` starts at `{source}`, which is not an absolute path on the host")
    kind: Literal["bind", "volume"] = "bind" if is_bind else "volume"
    return Mount(
        source,
        target,
        read_only="ro" in options,
        kind=kind,
        propagation=next((word for word in options if word in PROPAGATIONS), None),
        relabel="Z" if "Z" in options else "z" if "z" in options else None,
        no_copy="nocopy" in options,
    )


def _clean(target: str) -> str:
    """One name for one place; `normpath` alone leaves two slashes at the front."""
    return posixpath.normpath("/" + target.lstrip("/"))


def merged_mounts(ours: Iterable[Mount], written: Iterable[Mount]) -> tuple[Mount, ...]:
    """Both, by target; what the spec writes replaces a mount of ours. ValueError where it writes one target twice."""
    found = {_clean(mount.target): mount for mount in ours}
    seen: set[str] = set()
    for mount in written:
        target = _clean(mount.target)
        if target in seen:
            raise ValueError(f"two volumes go to `{target}`")
        seen.add(target)
        found[target] = mount
    return tuple(found.values())


def shipped_files(request: RenderRequest, files: Mapping[str, ShippedFileOptions]) -> dict[str, ShippedFile]:
    """The controller's files that go into the container, with their content."""
    found = {}
    for target, options in files.items():
        content = options.content.encode() if options.content is not None else _content(request, target, options.path)
        found[_absolute(request, target)] = ShippedFile(
            base64.b64encode(content).decode(), mode=options.mode, uid=options.uid, gid=options.gid
        )
    return found


def secret_files(request: RenderRequest, files: Mapping[str, SecretFileOptions]) -> dict[str, SecretFile]:
    return {
        _absolute(request, target): SecretFile(SecretRef(o.secret), mode=o.mode, uid=o.uid, gid=o.gid)
        for target, o in files.items()
    }


def _content(request: RenderRequest, target: str, path: str | None) -> bytes:
    if path is not None and path in request.project.files:
        return request.project.files[path]
    raise SpecError(
        Diagnostic(
            "no-such-file",
            f"file `{path}` for `{target}` of service `{request.service_name}` is not there",
            request.project.where("services", request.service_name, "container", "files", target),
            hint="give the path of a file beside the spec, or its text in `content`",
        )
    )


def _absolute(request: RenderRequest, target: str) -> str:
    clean = _clean(target)
    if clean != target or clean == "/":
        raise SpecError(
            Diagnostic(
                "bad-file-target",
                f"`{target}` is not the absolute path of a file in the container (service `{request.service_name}`)",
                request.project.where("services", request.service_name, "container"),
                hint="write it as `/opt/app/start.sh`, without `..`",
            )
        )
    return target
