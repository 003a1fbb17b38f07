"""Versions of backends: compared as numbers, and which flag which version has."""

from __future__ import annotations

import re

from deployer.backends.base import Backend

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
    since, gone = parse_version(known.since), parse_version(known.gone)
    if number is None:
        return gone is None
    return (since is None or number >= since) and (gone is None or number < gone)


def tag_of(pattern: str, version: str) -> str:
    """The tag of a version: `v{number}` and `0.11.2` give `v0.11.2`; a version that is no number is the tag itself."""
    if parse_version(version) is None:
        return version
    number = version[1:] if version[0].isalpha() else version
    return pattern.replace("{number}", number)


def version_in(tag: str, pattern: str) -> str | None:
    """The version of a tag that `pattern` made; None of any other tag."""
    before, _, after = pattern.partition("{number}")
    number = tag.removeprefix(before).removesuffix(after) if tag.startswith(before) and tag.endswith(after) else ""
    return number if number[:1].isdigit() else None
