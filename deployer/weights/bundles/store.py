"""The controller's own store of what bundles brought: contents by their SHA-256, and each project's loaded bundle.

A content has its name only once its hash was seen to be right.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, OperationError
from deployer.values.bundle import BLOBS, INDEX, SIGNATURE, Content, Loaded, total
from deployer.values.codec import from_data, parse_json, to_data
from deployer.weights.bundles.index import PROJECT
from deployer.weights.bundles.opening import Opened
from deployer.weights.bundles.reading import Follow, hashed

MOST_RECORD = 4096  # bytes


@dataclass(frozen=True, slots=True)
class Store:
    root: Path

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Store:
        """`DEPLOYER_STORE`, or the place for a user's own data."""
        home = Path(environment.get("HOME") or "~").expanduser()
        data = Path(environment.get("XDG_DATA_HOME") or home / ".local/share")
        return cls(Path(environment.get("DEPLOYER_STORE") or data / "deployer/store"))

    def blob(self, sha256: str) -> Path | None:
        path = self.root / BLOBS / sha256
        return path if path.is_file() else None

    def has(self, content: Content) -> bool:
        found = self.blob(content.sha256)
        return found is not None and found.stat().st_size == content.size

    def last(self, project: str, id_: str | None) -> Loaded | None:
        """The newest bundle of a project that was used here. OperationError where the record cannot be read."""
        path = self._project(project, id_) / "last.json"
        try:
            with path.open("rb") as file:
                return from_data(Loaded, parse_json(file.read(MOST_RECORD + 1), MOST_RECORD))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            hint = "it tells old bundles from new ones; remove it if you know which was the last"
            raise OperationError(Diagnostic("cannot-read", f"`{path}` cannot be read: {error}", hint=hint)) from None

    def remember(self, opened: Opened) -> None:
        """From here on this is the newest one of its project that was used, unless there is a newer one."""
        bundle = opened.bundle
        if self._is_behind(opened):
            return
        parent = bundle.parent.digest if bundle.parent is not None else ""
        record = json.dumps(to_data(Loaded(bundle.sequence, opened.digest, parent))).encode()
        self._write(opened, {"last.json": record})

    def keep(self, opened: Opened, *, older: bool) -> None:
        """From here on this is what `folder_of` finds, its contents being here. An older one, as what the newest one
        was made since, only where the user means to go back: `older`."""
        if self._is_behind(opened) and not older:
            return
        signature = opened.reader.signature
        if signature is None:
            with writing(folder := self._project(opened.bundle.project, opened.bundle.id)):
                (folder / SIGNATURE).unlink(missing_ok=True)
        self._write(opened, ({} if signature is None else {SIGNATURE: signature}) | {INDEX: opened.reader.index})
        self.remember(opened)

    def _is_behind(self, opened: Opened) -> bool:
        last = self.last(opened.bundle.project, opened.bundle.id)
        return last is not None and opened.bundle.sequence < last.sequence

    def _write(self, opened: Opened, texts: Mapping[str, bytes]) -> None:
        folder = self._project(opened.bundle.project, opened.bundle.id)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in texts.items():
                write_whole(folder / name, text)

    def folder_of(self, project: str) -> Path | None:
        """Where the index of the bundle is that was loaded last for a project of this name; None: there is none, or
        there are two with different ids."""
        found = sorted(self.root.glob(f"projects/{project}@*/{INDEX}")) if PROJECT.match(project) else []
        return found[0].parent if len(found) == 1 else None

    def take(self, opened: Opened, follow: Follow) -> None:
        """All contents of a bundle, each seen to be right. OperationError, and then nothing of them is left here."""
        wanted = [content for content in opened.bundle.contents if not self.has(content)]
        folder = self.root / BLOBS
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._refuse_full(folder, total(wanted))
        added: list[Path] = []
        try:
            done = opened.bundle.size - total(wanted)
            for content in wanted:
                path = folder / content.sha256
                added.append(path)
                self._take(opened, content, path, partial(_told, follow, done))
                done += content.size
        except OperationError:
            for path in added:
                path.unlink(missing_ok=True)
            raise

    def _take(self, opened: Opened, content: Content, path: Path, follow: Follow) -> None:
        beside = path.with_name(f"{path.name}.{os.getpid()}.new")
        done = 0
        try:
            with writing(path), beside.open("wb") as file:
                for piece in hashed(opened.reader, content):
                    file.write(piece)
                    done += len(piece)
                    follow(done)
                file.flush()
                os.fsync(file.fileno())
            beside.rename(path)
        finally:
            beside.unlink(missing_ok=True)

    def _refuse_full(self, folder: Path, size: int) -> None:
        free = shutil.disk_usage(folder).free
        if size > free:
            message = f"the bundle has {size:,} bytes that are not in `{self.root}`, and {free:,} are free there"
            hint = "free space, or name another place with DEPLOYER_STORE"
            raise OperationError(Diagnostic("disk-full", message, hint=hint))

    def _project(self, project: str, id_: str | None) -> Path:
        return self.root / "projects" / f"{project}@{(id_ or '').encode().hex()[:64]}"


def _told(follow: Follow, before: int, now: int) -> None:
    follow(before + now)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """OperationError where the disk does not take it."""
    try:
        yield
    except OSError as error:
        message = f"`{path}` cannot be written: {error.strerror or error}"
        hint = "make its folder writable, or name another place"
        raise OperationError(Diagnostic("cannot-write", message, hint=hint)) from None


def write_whole(path: Path, text: bytes) -> None:
    """Beside, then renamed."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with beside.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)
