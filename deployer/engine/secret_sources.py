"""Reads one secret from where the spec says it is: a variable, also of `.env`, a file or a command of the controller.

Raises OperationError naming the secret, its source and a remedy, never a value. Caches nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from deployer.dataclass import dataclass
from deployer.engine.redaction import clean
from deployer.errors import Diagnostic, OperationError
from deployer.formats.dotenv import parse_dotenv
from deployer.spec.language import SecretSource
from deployer.values.secrets import Secret

MAX_BYTES = 64 * 1024
DOTENV = ".env"  # beside the spec
TIMEOUT = 60.0  # seconds a command may take: it may ask a password manager
STDERR_TAIL = 5  # lines


@dataclass(frozen=True, slots=True)
class SourceReader:
    """`base_dir`: where the spec stands; files and commands are relative to it."""

    base_dir: Path
    environ: Mapping[str, str]
    timeout: float = TIMEOUT

    def read(self, name: str, source: SecretSource) -> Secret:
        if source.env is not None:
            return self._from_env(name, source.env)
        if source.file is not None:
            return self._from_file(name, source.file)
        return self._from_command(name, source.command or "")

    def _from_env(self, name: str, variable: str) -> Secret:
        """A variable of deployer's own, else one of `.env`."""
        value = self.environ[variable] if variable in self.environ else self._in_dotenv(name).get(variable)
        if not value:
            state = "is empty" if value == "" else "is not set"
            hint = f"set it: `export {variable}=...`, or in `{DOTENV}` beside the spec"
            raise unavailable(name, f"the variable `{variable}` {state}", hint)
        return _checked(name, f"the variable `{variable}`", value)

    def _in_dotenv(self, name: str) -> dict[str, str]:
        place = f"the file `{DOTENV}`"
        try:
            with (self.base_dir / DOTENV).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise unavailable(name, _unreadable(place, error), "make it a file that you may read") from None
        try:
            return parse_dotenv(_text(name, place, data))
        except ValueError as error:
            raise unavailable(name, f"{place}: {error}", "write NAME=VALUE, the value in single quotes") from None

    def _from_file(self, name: str, written: str) -> Secret:
        path = Path(self._expanded(written))
        place = f"the file `{written}`"
        try:
            with (self.base_dir / path).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            raise unavailable(name, f"{place} does not exist", "write the secret's value into it, mode 0600") from None
        except OSError as error:
            raise unavailable(name, _unreadable(place, error), "make it a file that you may read") from None
        return _checked(name, place, _text(name, place, data))

    def _expanded(self, written: str) -> str:
        home = self.environ.get("HOME")
        return home + written[1:] if home and (written == "~" or written.startswith("~/")) else written

    def _from_command(self, name: str, command: str) -> Secret:
        place = "its command"
        try:
            ended = _run(command, self.base_dir, self.environ, self.timeout)
        except OSError as error:
            raise unavailable(name, f"its command cannot be run: {error.strerror}", "correct `command`") from None
        if ended.exit_code is None:
            why = f"its command did not end within {self.timeout:g} s"
            raise unavailable(name, why, "run the command by hand; it must not ask for input", ended.stderr)
        if ended.exit_code != 0:
            why = f"its command exited with {ended.exit_code}"
            raise unavailable(name, why, "run the command by hand and correct it", ended.stderr)
        return _checked(name, place, _text(name, place, ended.stdout))


def unavailable(name: str, why: str, hint: str, evidence: tuple[str, ...] = ()) -> OperationError:
    return OperationError(Diagnostic("secret-unavailable", f"secret `{name}`: {why}", evidence=evidence, hint=hint))


def _unreadable(place: str, error: OSError) -> str:
    return f"{place} cannot be read: {os.strerror(error.errno) if error.errno else type(error).__name__}"


def _text(name: str, place: str, data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise unavailable(name, f"{place} gives more than {MAX_BYTES // 1024} KiB", "a secret is short text")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise unavailable(name, f"{place} gives no UTF-8 text", "encode the value, for example as base64") from None


def _checked(name: str, place: str, text: str) -> Secret:
    """One newline at the end belongs to the file, not to the value."""
    value = text[:-1] if text.endswith("\n") else text
    value = value[:-1] if value.endswith("\r") else value
    if not value.strip():
        raise unavailable(name, f"{place} is empty", "give it a value, or remove the secret from the spec")
    if "\0" in value:
        raise unavailable(name, f"{place} holds a NUL byte", "a secret is text without NUL bytes")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise unavailable(name, f"{place} is no UTF-8 text", "encode the value, for example as base64") from None
    return Secret(value)


# --- commands ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ended:
    """`exit_code` is None when the time was up. `stdout` is never shown to anyone."""

    exit_code: int | None
    stdout: bytes
    stderr: tuple[str, ...]


def _run(command: str, directory: Path, environ: Mapping[str, str], timeout: float) -> _Ended:
    """In a session of its own, without input: it can neither ask on the terminal nor outlive its time."""
    with subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=directory,
        env=dict(environ),
        start_new_session=True,
    ) as process:
        out, err = _Drain(process.stdout), _Drain(process.stderr)
        exit_code: int | None
        try:
            exit_code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            exit_code = None
        if exit_code is None or not (out.ends(1.0) and err.ends(1.0)):  # a child left behind keeps the pipes open
            _kill_group(process.pid)
        out.ends(5.0)
        err.ends(5.0)
        lines = [clean(line)[:300] for line in err.data.decode("utf-8", "replace").splitlines()]
        return _Ended(exit_code, out.data, tuple([line for line in lines if line][-STDERR_TAIL:]))


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


class _Drain:
    """Reads a pipe to its end in the background and keeps the first bytes."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        self.data = b""
        self._pipe = pipe
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while self._pipe is not None and (chunk := self._pipe.read(4096)):
            if len(self.data) <= MAX_BYTES:
                self.data += chunk

    def ends(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()
