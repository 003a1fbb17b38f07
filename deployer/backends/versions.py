"""Versions of backends: compared as numbers, and which flag which version has."""

from __future__ import annotations

import re

from deployer.backends.base import Backend, FlagRange

NUMBER = re.compile(r"[A-Za-z]?(?P<number>\d+(?:\.\d+)*)")
Version = tuple[int, ...]


def parse_version(text: str | None) -> Version | None:
    """(0, 11, 2) of `v0.11.2-cu129`, (4719,) of `b4719`; None of `nightly`."""
    match = NUMBER.match(text or "")
    return tuple(int(part) for part in match["number"].split(".")) if match else None


def has_flag(backend: Backend, flag: str, version: str | None) -> bool:
    """Whether that version of the backend has the flag; an unknown version counts as the backend's default, and a
    backend without one as its newest."""
    known = backend.flags.get(flag)
    if known is None:
        return True
    number = parse_version(version) or parse_version(backend.version)
    if number is None:
        return known.gone is None
    return not is_gone(known, number) and not is_to_come(known, number)


def is_gone(known: FlagRange, number: Version) -> bool:
    gone = parse_version(known.gone)
    return gone is not None and number >= gone


def is_to_come(known: FlagRange, number: Version) -> bool:
    since, after = parse_version(known.since), parse_version(known.after)
    return number <= after if after is not None else since is not None and number < since


def tag_of(pattern: str, version: str) -> str:
    """The tag of a version: `v{number}` and `0.11.2` give `v0.11.2`; a version that is no number is the tag itself."""
    if parse_version(version) is None:
        return version
    number = version[1:] if version[0].isalpha() else version
    before, _, after = pattern.partition("{number}")
    return before + number + ("" if "-" in number else after)


def version_in(tag: str, pattern: str) -> str | None:
    """The version of a tag that `pattern` made; None of any other tag."""
    before, _, after = pattern.partition("{number}")
    number = tag.removeprefix(before).removesuffix(after) if tag.startswith(before) else ""
    return number if number[:1].isdigit() else None


def known_as(backend: Backend, flag: str) -> str:
    """Most parsers take `_` for `-`; those that do not have flags with `_`."""
    dashed = flag.replace("_", "-")
    return dashed if flag not in backend.flags and dashed in backend.flags else flag
