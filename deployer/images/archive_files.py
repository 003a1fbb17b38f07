"""The files of an archive of images, by their names: members of a tar, or a folder's own. Read in place."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from deployer.dataclass import dataclass
from deployer.images.tarindex import Member


class Files(Protocol):
    """The files of a layout by their names; ValueError or OSError for one that is not there."""

    def open(self, name: str) -> BinaryIO: ...
    def size(self, name: str) -> int: ...
    def __contains__(self, name: str, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class TarFiles:
    path: Path
    members: dict[str, Member]

    def open(self, name: str) -> BinaryIO:
        member = self.members[name]
        return io.BufferedReader(_Part(self.path.open("rb", buffering=0), member))

    def size(self, name: str) -> int:
        return self.members[name].size

    def __contains__(self, name: str) -> bool:
        return name in self.members


class _Part(io.RawIOBase):
    """One member, as a file of its own."""

    def __init__(self, file: Any, member: Member) -> None:
        super().__init__()
        self._file, self._member, self._at = file, member, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._member.size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._member.size - self._at)
        if wanted <= 0:
            return 0
        self._file.seek(self._member.offset + self._at)
        data = self._file.read(wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """A folder's own files; a link is not followed, wherever it leads."""

    path: Path

    def open(self, name: str) -> BinaryIO:
        return os.fdopen(os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW), "rb")

    def size(self, name: str) -> int:
        return (self.path / name).lstat().st_size

    def __contains__(self, name: str) -> bool:
        if name.startswith("/") or ".." in name.split("/"):
            return False
        try:
            return stat.S_ISREG((self.path / name).lstat().st_mode)
        except (OSError, ValueError):
            return False
