"""Files that a spec names: where their paths lead, and their contents, read through a callable that is given."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import field

from deployer.dataclass import dataclass, replace
from deployer.errors import Diagnostic, Problems, Where
from deployer.spec.nodes import Node

MAX_FILE = 1024 * 1024  # bytes of a template or a shipped file
Read = Callable[[str], bytes]


@dataclass(slots=True)
class Files:
    """Reads each path once. `confined`: nothing outside the current folder and the folders of `roots`."""

    read: Read
    home: str
    confined: bool
    roots: Sequence[str] = ()
    problems: Problems = field(default_factory=Problems)
    _contents: dict[str, bytes | Diagnostic] = field(default_factory=dict)

    def resolved(self, path: str, named_in: str) -> str:
        """A path as written in a file, relative to that file's folder; `~` is the user's home."""
        if path == "~" or path.startswith("~/"):
            return posixpath.normpath(self.home + path[1:])
        return posixpath.normpath(posixpath.join(posixpath.dirname(named_in), path))

    def content(self, node: Node, what: str) -> bytes | None:
        """The content of the file that a node names; None, with the reason in `problems`, where it cannot be read."""
        path = self.resolved(str(node.value), node.source.file)
        found = self._contents.get(path)
        if found is None:
            found = self._contents[path] = self._read(path, what)
        if isinstance(found, bytes):
            return found
        self.problems.add(at(found, node.where))
        return None

    def given(self, path: str, what: str) -> bytes | None:
        """The content of a file named on the command line."""
        found = self._read_any(path, what)
        if isinstance(found, bytes):
            return found
        self.problems.add(found)
        return None

    def optional(self, path: str, what: str) -> bytes | None:
        """The content of a file that need not be there; None where it is not, or, with the reason in `problems`,
        where it cannot be read."""
        found = self._contents.get(path)
        if found is None:
            found = self._contents[path] = self._read(path, what)
        if isinstance(found, bytes):
            return found
        if found.code not in ("missing-file", "outside-folder"):
            self.problems.add(found)
        return None

    def names_in(self, folder: str, what: str) -> tuple[str, ...] | None:
        """The names in a folder, sorted; None where there is none. `read` tells them, one a line, for a path that
        ends in `/`."""
        found = self._read(folder.rstrip("/") + "/", what)
        if isinstance(found, bytes):
            return tuple(sorted(filter(None, found.decode("utf-8", "replace").split("\n"))))
        if found.code == "unreadable-file":
            self.problems.add(found)
        return None

    def _read(self, path: str, what: str) -> bytes | Diagnostic:
        if self.confined and not self._is_inside(path):
            return Diagnostic(
                "outside-folder",
                f"{what} `{path}` lies outside the current folder",
                hint="name a path inside it: this command reads nothing else",
            )
        return self._read_any(path, what)

    def _read_any(self, path: str, what: str) -> bytes | Diagnostic:
        try:
            return self.read(path)
        except (FileNotFoundError, NotADirectoryError):
            return Diagnostic("missing-file", f"{what} `{path}` does not exist", hint="correct the path, or create it")
        except IsADirectoryError:
            return Diagnostic("is-a-directory", f"{what} `{path}` is a directory", hint="name a file in it")
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = getattr(error, "strerror", None) or str(error)
            return Diagnostic("unreadable-file", f"{what} `{path}` cannot be read: {reason}", hint="make it readable")

    def _is_inside(self, path: str) -> bool:
        if any(path.startswith(f"{root}/") for root in self.roots if root):
            return True
        return not posixpath.isabs(path) and path != ".." and not path.startswith("../")


def at(diagnostic: Diagnostic, where: Where) -> Diagnostic:
    """The same problem at the place that names the file."""
    return replace(diagnostic, where=where)


def too_large(size: int, node: Node, what: str) -> Diagnostic:
    return Diagnostic(
        "file-too-large",
        f"{what} `{node.value}` has {size:,} bytes, and at most {MAX_FILE:,} are shipped",
        node.where,
        hint="mount it from the host with `volumes`",
    )
