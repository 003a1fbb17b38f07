"""Flags that a backend's version has or lacks, in `args` and behind the options, with what took their place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from deployer.backends.base import Backend, Flag, InTemplate, OptionMapping, SecretConfig, Switch
from deployer.backends.versions import is_gone, known_as, parse_version
from deployer.errors import Diagnostic, Where, warning
from deployer.planning.own_help import Known
from deployer.spec.language import Service

# how alike a flag and a known one are for the first to be a typo: of most backends not all flags are known
ALMOST = 0.92
ALIKE = 0.75


def missing_flags(known: Known, option: tuple[str, Any], where: Where | None) -> tuple[Diagnostic, ...]:
    """The first flag that an option (name, value) needs and the version does not have."""
    name, value = option
    lacking = (flag for flag in _needed(known.backend.options[name], value) if not known.has(flag))
    return tuple(_absent(known, flag, where, name) for flag in islice(lacking, 1))


def _needed(mapping: OptionMapping, value: Any) -> tuple[str, ...]:
    match mapping:
        case Flag():
            names = (mapping.name, *mapping.more)
            native = (mapping.values or {}).get(value, value) if isinstance(value, str) else value
            return (*names, *(f"{name}={native}" for name in names))
        case Switch():
            return tuple(flag for flag in (mapping.on, mapping.off) if flag)
        case InTemplate():
            return mapping.needs
        case SecretConfig():
            return (mapping.flag,)
        case _:
            return ()


def flag_problems(known: Known, service: Service) -> Iterator[Diagnostic]:
    """Flags in `args` that the version does not have, with what took their place; those that look mistyped, those that
    are in the way of an option, and those that are missing."""
    backend = known.backend
    written = [known_as(backend, arg.partition("=")[0]) for arg in service.args]
    missing = [flag for flag in backend.needs_args if flag not in written]
    if missing:
        message = f"`{backend.name}` needs {', '.join(f'`{flag}`' for flag in missing)}"
        yield Diagnostic("args-missing", message, hint="add them to `args`, with values that suit the host")
    yield from _taken(backend, service, written)
    yield from _unfit(known, service.args)


def _taken(backend: Backend, service: Service, written: list[str]) -> Iterator[Diagnostic]:
    """Flags that an option of the service takes for itself."""
    for option, mapping in backend.options.items():
        given = getattr(service.options, option) is not None
        taken = mapping.excludes if isinstance(mapping, InTemplate) and given else ()
        taken = (mapping.flag,) if isinstance(mapping, SecretConfig) and given else taken
        for flag in dict.fromkeys(flag for flag in written if flag in taken):
            message = f"`{backend.name}` takes one `{flag}`, and `{option}` goes by that"
            yield Diagnostic("flag-taken", message, hint=f"remove `{option}`, and say it in the file of `{flag}`")


def _unfit(known: Known, args: Iterable[str]) -> Iterator[Diagnostic]:
    backend = known.backend
    for arg in args:
        flag = known_as(backend, arg.partition("=")[0])
        if not flag.startswith("-") or parse_version(flag[1:]) is not None:
            continue
        if flag in backend.flags:
            whole = f"{flag}={arg.partition('=')[2]}"
            lacking = (name for name in (flag, whole) if not known.has(name))
            yield from (_absent(known, name, None) for name in islice(lacking, 1))
        elif not any(said.has(flag) for said in known.said):
            yield from _unknown(known, flag)


def _unknown(known: Known, flag: str) -> Iterator[Diagnostic]:
    backend = known.backend
    if flag.replace("--no-", "--", 1) in backend.flags:
        return
    meant = [name for name in backend.flags if name.startswith(flag) and known.has(name)]
    if backend.takes_beginnings and len(meant) == 1:
        return
    cutoff = ALIKE if backend.knows_all_flags else ALMOST
    underscored = flag[:2] + flag[2:].replace("-", "_")
    near = difflib.get_close_matches(flag, backend.flags, n=1, cutoff=cutoff)
    close = [underscored] if underscored in backend.flags else near
    if close or (backend.knows_all_flags and flag.startswith("--")):
        hint = f"did you mean `{close[0]}`?" if close else "look whether its version has the flag"
        yield warning("unknown-flag", f"`{backend.name}` is not known to have `{flag}`", hint=hint)


def _absent(known: Known, flag: str, where: Where | None, option: str = "") -> Diagnostic:
    backend, version, range_ = known.backend, known.version, known.backend.flags[flag]
    shown = version or backend.version or "the newest"
    number = parse_version(version) or parse_version(backend.version)
    needed = f", which `{option}` needs" if option else ""
    if number is None or is_gone(range_, number):
        message = f"`{backend.name}` {shown} has no `{flag}` any more{needed}: {range_.gone} came without it"
        hint = f"write {range_.instead}" if range_.instead else f"remove {'the option' if option else 'it'}"
        return Diagnostic("flag-removed", message, where, hint=hint)
    came = f"{range_.after} was still without it" if range_.after else f"it came with {range_.since}"
    message = f"`{backend.name}` {shown} has no `{flag}` yet{needed}: {came}"
    hint = f"raise `version` to {range_.since} or later, or remove the {'option' if option else 'flag'}"
    return Diagnostic("flag-too-new", message, where, hint=hint)
