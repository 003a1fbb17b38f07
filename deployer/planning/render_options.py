"""Backend-neutral options as a backend's own arguments, and what a backend refuses of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from deployer.backends.base import Backend, Flag, InTemplate, OptionMapping, Refused, SecretEnv, Switch
from deployer.backends.versions import has_flag, parse_version, version_in
from deployer.errors import Diagnostic, Where, warning
from deployer.spec.language import Options, Service
from deployer.spec.language.options import OPTION_NAMES
from deployer.spec.project import Project
from deployer.values.images import parse_image

ALMOST = 0.92  # how alike a flag and a known one are for the first to be a typo: many flags exist that we don't know


def option_args(backend: Backend, options: Options) -> tuple[str, ...]:
    """The arguments of all options that are mapped to a flag, in the order of the language."""
    found: list[str] = []
    for name in OPTION_NAMES:
        value = getattr(options, name)
        if value is not None:
            found.extend(_args(backend.options[name], value))
    return tuple(found)


def _args(mapping: OptionMapping, value: Any) -> Iterator[str]:
    match mapping:
        case Flag():
            text = translated(mapping, value)
            if text is not None:
                for name in (mapping.name, *mapping.more):
                    # argparse takes a value that begins with a dash for another flag
                    yield from (f"{name}={text}",) if _is_dashed(name, text) else (name, str(text))
        case Switch():
            flag = mapping.on if value is True or (value is not False and value > 1) else mapping.off
            if flag is not None:
                yield flag
        case InTemplate() | SecretEnv() | Refused():
            pass


def _is_dashed(name: str, text: Any) -> bool:
    return name.startswith("--") and isinstance(text, str) and text.startswith("-")


def translated(mapping: OptionMapping, value: Any) -> Any:
    """The backend's own word for a value; a number stays, whole where it is."""
    if isinstance(mapping, Flag | InTemplate) and isinstance(value, str) and mapping.values is not None:
        return mapping.values.get(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def template_options(backend: Backend, options: Options) -> dict[str, Any]:
    """Every option by name, for the template; None where it is absent. Secrets are not for templates."""
    found: dict[str, Any] = {}
    for name in OPTION_NAMES:
        value = getattr(options, name)
        mapping = backend.options[name]
        if name == "speculative" and value is not None:
            value = value.model_dump()
        found[name] = None if isinstance(mapping, SecretEnv | Refused) else translated(mapping, value)
    return found


def version_of(service: Service, image: str, backend: Backend) -> str | None:
    """The backend's version: as the image's tag says it, else as written beside an image of somebody's own."""
    images = backend.images
    try:
        reference = parse_image(image)
        repositories = [parse_image(name) for name in (images.repository, images.cpu_repository) if name]
    except ValueError:
        return None
    if any((r.registry, r.repository) == (reference.registry, reference.repository) for r in repositories):
        patterns = (images.gpu, images.cpu)
        return next((v for p in patterns if p and (v := version_in(reference.tag or "", p))), None)
    return service.version


def check_options(project: Project, name: str, backend: Backend) -> tuple[Diagnostic, ...]:
    """What this backend refuses of a service, or would ignore, each with its place in the spec; warnings too."""
    service = project.with_backend(name, backend.name)
    found: list[Diagnostic] = []
    for option in OPTION_NAMES:
        value = getattr(service.options, option)
        if value is not None:
            found.extend(_refusals(backend, option, value, project.where("services", name, "options", option)))
    version = version_of(service, service.image, backend) if service.image else service.version
    found.extend(_flag_problems(backend, version, service.args, project.where("services", name, "args")))
    if service.container.ipc == "host" and service.container.shm_size is not None:
        message = f"Docker ignores `shm_size` with `ipc: host` (service `{name}`)"
        where = project.where("services", name, "container", "shm_size")
        found.append(warning("shm-size-ignored", message, where, "leave out `shm_size`, or `ipc: host`"))
    return tuple(replace(d, message=f"{d.message} (service `{name}`)") if name not in d.message else d for d in found)


def _refusals(backend: Backend, option: str, value: Any, where: Where | None) -> Iterator[Diagnostic]:
    mapping = backend.options[option]
    if isinstance(mapping, Refused) and not _is_among(value, mapping.unless):
        yield Diagnostic(
            "option-refused",
            f"`{backend.name}` has no `{option}`: {mapping.reason}",
            where,
            hint=f"remove `{option}`, or choose another backend",
        )
    if isinstance(mapping, SecretEnv) and len(value) > 1 and mapping.file_flag is None:
        yield Diagnostic(
            "option-refused",
            f"`{backend.name}` takes one `{option}`, not {len(value)}: it reads it from the environment",
            where,
            hint=f"keep one `{option}`",
        )
    words = getattr(mapping, "values", None)
    if words is not None and isinstance(value, str) and value not in words:
        yield Diagnostic(
            "option-refused",
            f"`{backend.name}` knows no `{option}: {value}`",
            where,
            hint="it takes " + ", ".join(f"`{word}`" for word in words),
        )


def _is_among(value: Any, values: tuple[object, ...]) -> bool:
    """Unlike `in`, which takes True for 1."""
    return any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in values)


def _flag_problems(
    backend: Backend, version: str | None, args: Iterable[str], where: Where | None
) -> Iterator[Diagnostic]:
    """Flags in `args` that the version does not have, with what took their place; and those that look mistyped."""
    for arg in args:
        flag = arg.partition("=")[0].replace("_", "-")
        if not flag.startswith("-"):
            continue
        known = backend.flags.get(flag)
        if known is not None and not has_flag(backend, flag, version):
            yield _absent(backend, flag, version, where)
        elif known is None:
            close = difflib.get_close_matches(flag, _without_negations(backend, flag), n=1, cutoff=ALMOST)
            if close:
                yield warning(
                    "unknown-flag",
                    f"`{backend.name}` is not known to have `{flag}`",
                    where,
                    f"did you mean `{close[0]}`?",
                )


def _without_negations(backend: Backend, flag: str) -> Iterable[str]:
    """Nothing where the flag is a known one with `no-`; the known flags otherwise."""
    return () if flag.replace("--no-", "--", 1) in backend.flags else backend.flags


def _absent(backend: Backend, flag: str, version: str | None, where: Where | None) -> Diagnostic:
    known = backend.flags[flag]
    shown = version or backend.version or "the newest"
    gone = parse_version(known.gone)
    number = parse_version(version) or parse_version(backend.version)
    is_gone = gone is not None and (number is None or number >= gone)
    if is_gone:
        instead = f"write {known.instead}" if known.instead else "remove it"
        return Diagnostic(
            "flag-removed",
            f"`{backend.name}` {shown} has no `{flag}` any more: {known.gone} came without it",
            where,
            hint=instead,
        )
    return Diagnostic(
        "flag-too-new",
        f"`{backend.name}` {shown} has no `{flag}` yet: it came with {known.since}",
        where,
        hint=f"raise `version` to {known.since} or later, or remove the flag",
    )
