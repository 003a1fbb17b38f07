"""Which git commit a spec was taken from, read from the repository's own files."""

from __future__ import annotations

import re
from pathlib import Path

COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?\Z")
MOST_READ = 1 << 20  # bytes of packed-refs


def commit_of(path: str) -> str | None:
    """The commit checked out where `path` lies; None outside a repository, or where it cannot be told."""
    folder = Path(path).absolute().parent
    try:
        found = next((f / ".git" for f in (folder, *folder.parents) if (f / ".git").exists()), None)
        return _commit(_git_folder(found)) if found is not None else None
    except (OSError, ValueError):
        return None


def _git_folder(found: Path) -> Path:
    """`.git` is a file that names the folder in work trees and submodules (gitrepository-layout(5))."""
    if found.is_dir():
        return found
    return found.parent / _read(found).removeprefix("gitdir:").strip()


def _commit(git: Path) -> str | None:
    head = _read(git / "HEAD")
    if not head.startswith("ref:"):
        return head if COMMIT.match(head) else None
    ref = head.removeprefix("ref:").strip()
    common = git / _read(git / "commondir") if (git / "commondir").exists() else git
    for file in (git / ref, common / ref):
        if file.is_file():
            commit = _read(file)
            return commit if COMMIT.match(commit) else None
    return _packed(common, ref)


def _packed(common: Path, ref: str) -> str | None:
    for line in _read(common / "packed-refs").splitlines():
        commit, _, name = line.partition(" ")
        if name == ref and COMMIT.match(commit):
            return commit
    return None


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MOST_READ).decode("utf-8", "replace").strip()
