"""The one place where an argv becomes a shell line, and text a part of curl's configuration. Nothing else glues text
into commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence

from deployer.errors import Diagnostic, OperationError

ANNOUNCED = "deployer-pid"
PID_LINE = re.compile(rb"^" + ANNOUNCED.encode() + rb" (?P<pid>[1-9]\d{0,9})\n", re.MULTILINE)
PID_WITHIN = 16384  # bytes of stderr; a shell's start-up files may write before


def checked_argv(argv: Sequence[str]) -> list[str]:
    """The argv, if a process can be given it. OperationError `bad-argument` otherwise; no value is shown."""
    if not argv:
        raise OperationError(Diagnostic("bad-argument", "an empty command cannot be run"))
    for position, word in enumerate(argv):
        if "\0" in word or not is_encodable(word):
            raise OperationError(
                Diagnostic(
                    "bad-argument",
                    f"argument {position} of a command holds a NUL byte or half a surrogate pair",
                    hint="no process can be given such text; remove it",
                )
            )
    return list(argv)


def is_encodable(word: str) -> bool:
    """Text, or bytes that came in as surrogate escapes."""
    try:
        word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def with_become(argv: Sequence[str], become: str | None) -> list[str]:
    """The argv run as root by `sudo -n` (never asks), when `become` is set."""
    checked = checked_argv(argv)
    return ["sudo", "-n", "--", *checked] if become else checked


def command_line(argv: Sequence[str], become: str | None = None) -> str:
    """A line for a POSIX shell that runs exactly `argv`, with messages in English.

    The first thing on its stderr is its process id: closing an SSH channel ends no command (sshd only closes its
    pipes), so one that takes too long is killed by its id.
    """
    words = shlex.join(with_become(argv, become))
    return f'LC_ALL=C; export LC_ALL; echo "{ANNOUNCED} $$" >&2; exec {words}'


def script_of(commands: Iterable[tuple[Sequence[str], bytes]], marker: str) -> bytes:
    """For `sh -s`: runs each argv with its own stdin, and says behind each `marker` and its exit code on stdout,
    `marker` on stderr. Text that does not end its last line gets the end.

    `marker` is a random word. The script runs whole or not at all: one that was cut off on its way is no function yet.
    """
    lines = [b"all() {"]
    for argv, stdin in commands:
        text = stdin.removesuffix(b"\n")
        given = f" <<'{marker}'" if text else " </dev/null"
        lines += [(shlex.join(checked_argv(argv)) + given).encode("utf-8", "surrogateescape")]
        lines += [text, marker.encode()] if text else []
        lines += [f"printf '\\n%s %s\\n' {marker} $?; printf '\\n%s\\n' {marker} >&2".encode()]
    return b"\n".join([*lines, b"}", b"all", b""])


def kill_line(pid: int, become: str | None = None) -> str:
    """Ends a command and its process group. sudo gets a moment to pass TERM on: KILL it cannot."""
    script = 'kill -s TERM -- "-$1"; sleep 0.2; kill -s KILL -- "-$1"'
    return shlex.join(with_become(["sh", "-c", script, "deployer-kill", str(pid)], become))


def without_pid(stderr: bytes) -> tuple[int | None, bytes]:
    """The announced process id, and the stderr without it."""
    match = PID_LINE.search(stderr[:PID_WITHIN])
    if match is None:
        return None, stderr
    return int(match["pid"]), stderr[: match.start()] + stderr[match.end() :]


def in_curl_config(text: str) -> str:
    """Inside the double quotes of a curl configuration. ValueError for what would end its line."""
    if not text.isprintable():
        raise ValueError("a URL or token has control characters")
    return text.replace("\\", "\\\\").replace('"', '\\"')
