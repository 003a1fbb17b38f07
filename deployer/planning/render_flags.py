"""Flags that a backend's version has or lacks, in `args` and behind the options, with what took their place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from itertools import islice

from deployer.backends.base import Backend, Flag, InTemplate, OptionMapping, SecretConfig, Switch
from deployer.backends.versions import has_flag, is_gone, parse_version
from deployer.errors import Diagnostic, Where, warning

# how alike a flag and a known one are for the first to be a typo: of most backends not all flags are known
ALMOST = 0.92
ALIKE = 0.75


def missing_flags(backend: Backend, version: str | None, option: str, where: Where | None) -> tuple[Diagnostic, ...]:
    """The first flag that an option needs and the version does not have."""
    lacking = (flag for flag in _needed(backend.options[option]) if not has_flag(backend, flag, version))
    return tuple(_absent(backend, flag, version, where, option) for flag in islice(lacking, 1))


def _needed(mapping: OptionMapping) -> tuple[str, ...]:
    match mapping:
        case Flag():
            return (mapping.name, *mapping.more)
        case Switch():
            return tuple(flag for flag in (mapping.on, mapping.off) if flag)
        case InTemplate():
            return mapping.needs
        case SecretConfig():
            return (mapping.flag,)
        case _:
            return ()


def flag_problems(
    backend: Backend, version: str | None, args: Iterable[str], where: Where | None
) -> Iterator[Diagnostic]:
    """Flags in `args` that the version does not have, with what took their place; and those that look mistyped."""
    for arg in args:
        flag = _known_as(backend, arg.partition("=")[0])
        if not flag.startswith("-") or parse_version(flag[1:]) is not None:
            continue
        if flag in backend.flags:
            if not has_flag(backend, flag, version):
                yield _absent(backend, flag, version, where)
        else:
            yield from _unknown(backend, version, flag, where)


def _known_as(backend: Backend, flag: str) -> str:
    """Most parsers take `_` for `-`; those that do not have flags with `_`."""
    dashed = flag.replace("_", "-")
    return dashed if flag not in backend.flags and dashed in backend.flags else flag


def _unknown(backend: Backend, version: str | None, flag: str, where: Where | None) -> Iterator[Diagnostic]:
    if flag.replace("--no-", "--", 1) in backend.flags:
        return
    meant = [known for known in backend.flags if known.startswith(flag) and has_flag(backend, known, version)]
    if backend.takes_beginnings and len(meant) == 1:
        return
    cutoff = ALIKE if backend.knows_all_flags else ALMOST
    close = difflib.get_close_matches(flag, backend.flags, n=1, cutoff=cutoff)
    if close or (backend.knows_all_flags and flag.startswith("--")):
        hint = f"did you mean `{close[0]}`?" if close else "look whether its version has the flag"
        yield warning("unknown-flag", f"`{backend.name}` is not known to have `{flag}`", where, hint)


def _absent(backend: Backend, flag: str, version: str | None, where: Where | None, option: str = "") -> Diagnostic:
    known = backend.flags[flag]
    shown = version or backend.version or "the newest"
    number = parse_version(version) or parse_version(backend.version)
    needed = f", which `{option}` needs" if option else ""
    if number is None or is_gone(known, number):
        message = f"`{backend.name}` {shown} has no `{flag}` any more{needed}: {known.gone} came without it"
        hint = f"write {known.instead}" if known.instead else f"remove {'the option' if option else 'it'}"
        return Diagnostic("flag-removed", message, where, hint=hint)
    came = f"{known.after} was still without it" if known.after else f"it came with {known.since}"
    message = f"`{backend.name}` {shown} has no `{flag}` yet{needed}: {came}"
    hint = f"raise `version` to {known.since} or later, or remove the {'option' if option else 'flag'}"
    return Diagnostic("flag-too-new", message, where, hint=hint)
