"""Files that are written on the controller, each whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from deployer.errors import Diagnostic, OperationError

FOLDER = "make its folder writable"


def write_beside(path: Path, content: bytes, *, mode: int | None = None, hint: str = FOLDER) -> None:
    """Beside, then renamed: nobody sees half of it, and a link that somebody planted beside is not followed.

    Its mode is `mode`, else that of the file it takes the place of, else as umask has it. OperationError.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        if mode is None and path.exists():
            mode = path.stat().st_mode & 0o777
        with suppress(FileNotFoundError):
            beside.unlink()
        made = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else mode)
        with os.fdopen(made, "wb") as file:
            if mode is not None:
                os.fchmod(made, mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        message = f"`{path}` cannot be written: {error.strerror}"
        raise OperationError(Diagnostic("cannot-write", message, hint=hint)) from None
