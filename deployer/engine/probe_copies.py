"""What a probe says of copies of models in a host's `model_dirs`: their files and what was once read of them. Never
raises; whatever is no line of its kind is somebody's name with a newline."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deployer.formats.model_files import config_says, gguf_says
from deployer.formats.text import decoded, one_line, whole_number
from deployer.pattern import pattern
from deployer.values.presynced import ALTERED, OUTSIDE, Copy, ReadFile, Stamp
from deployer.values.weights import COMMIT

Said = tuple[tuple[str, ...], bytes]  # words of the heading, body
SHA256 = re.compile(r"[0-9a-f]{64}\Z")
GIT = pattern(r"[0-9a-f]{40}\Z")
MOST = 2**64  # inodes of network file systems are hashes


def parse_copies(sections: Mapping[str, Sequence[Said]], asked: Sequence[str]) -> tuple[Copy, ...]:
    """`copy NUMBER PLACE COMMIT` heads a copy of the place of that position; `read`, `gguf` and `config` go with its
    number, `refs` with its place."""
    return tuple(found for words, body in sections.get("copy", ()) for found in _copy(words, body, sections, asked))


def _copy(
    words: Sequence[str], body: bytes, sections: Mapping[str, Sequence[Said]], asked: Sequence[str]
) -> Iterator[Copy]:
    number, place, commit = (*words, "", "", "")[:3]
    position = whole_number(place, len(asked) - 1) if asked else None
    root, *rows = decoded(body).split("\n")
    if position is None or not root.startswith("/") or (commit and COMMIT.match(commit) is None):
        return
    said: dict[str, Any] = {}
    for name, read in (("config", config_says), ("gguf", gguf_says)):
        said |= {k: v for text in _of(sections, name, f"c{number}") for k, v in read(text).items() if v is not None}
    refs = dict(_refs("\n".join(decoded(text) for text in _of(sections, "refs", place))))
    read_once = dict(_read("\n".join(decoded(text) for text in _of(sections, "read", f"c{number}"))))
    yield Copy(asked[position], root.rstrip("/") or "/", commit, dict(_files(rows)), read_once, refs, **said)


def _of(sections: Mapping[str, Sequence[Said]], name: str, number: str) -> Iterator[bytes]:
    return (body for words, body in sections.get(name, ()) if words[:1] == (number,))


def _files(rows: Sequence[str]) -> Iterator[tuple[str, Stamp]]:
    """SIZE TIME INODE ./PATH"""
    for row in rows:
        *numbers, path = row.split(" ", 3)
        stamp = _stamp(numbers)
        if stamp is not None and path.startswith("./"):
            yield _name(path[2:]), stamp


def _read(text: str) -> Iterator[tuple[str, ReadFile]]:
    """SHA256 GIT SIZE TIME INODE PATH; of several lines of a path the last one holds."""
    for row in text.split("\n"):
        sha256, git, *rest = (*row.split(" ", 5), "", "")
        stamp = _stamp(rest[:3])
        if stamp is not None and (SHA256.match(sha256) or sha256 in (OUTSIDE, ALTERED)) and rest[3]:
            yield _name(rest[3]), ReadFile(stamp, sha256, git if GIT.match(git) else "")


def _refs(text: str) -> Iterator[tuple[str, str]]:
    for row in text.split("\n"):
        name, _, commit = row.partition(" ")
        if COMMIT.match(commit) is not None:
            yield one_line(name, 200), commit


def _stamp(numbers: Sequence[str]) -> Stamp | None:
    found = [number for text in numbers if (number := whole_number(text, MOST)) is not None]
    return Stamp(*found) if len(numbers) == len(found) == 3 else None


def _name(path: str) -> str:
    return one_line(path, 1000)
