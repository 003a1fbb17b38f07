"""The way to a host's Docker engine: its socket directly, or `docker system dial-stdio`; and why there is none."""

from __future__ import annotations

import socket
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from deployer.errors import Diagnostic, DockerError
from deployer.transport.failures import one_line, sudo_denied, sudo_refusal, tail
from deployer.transport.streams import Stream, StreamConnection

if TYPE_CHECKING:
    from deployer.transport.base import Transport

TIMEOUT = 60.0  # seconds to wait for the engine's answer, unless a call says otherwise
DIAGNOSIS_TIMEOUT = 15.0
NOT_FOUND = 127  # a shell's exit code for a command that is not there
ENGINE_DOCS = "https://docs.docker.com/engine/install/"

LOOK = """
s=$1
if [ -S "$s" ]; then echo socket=yes; elif [ -e "$s" ]; then echo socket=no-socket; else echo socket=no; fi
if [ -r "$s" ] && [ -w "$s" ]; then echo access=yes; else echo access=no; fi
if command -v docker >/dev/null 2>&1; then echo cli=yes; fi
if command -v dockerd >/dev/null 2>&1; then echo daemon=yes; fi
if curl -s -m 5 --unix-socket "$s" http://docker/_ping >/dev/null 2>&1; then echo answers=yes; fi
echo "user=$(id -un)"
"""


class NoForwarding(Exception):
    """The host's sshd forbids forwarding sockets, or does not know how."""


class SocketRefused(Exception):
    """The socket could not be reached, and sshd does not tell a forbidden one from one that is not there."""


class Dialled(Protocol):
    """A running `docker system dial-stdio`; `last_words` waits for its end, a moment."""

    stream: Stream

    def last_words(self) -> tuple[int | None, bytes]: ...


class EngineDoor:
    """Opens streams to the engine. `direct` opens the socket itself, `dial` runs a command and talks to it."""

    def __init__(
        self,
        transport: Transport,
        direct: Callable[[float], Stream],
        dial: Callable[[Sequence[str], float], Dialled],
    ) -> None:
        self._transport = transport
        self._direct = direct
        self._dial = dial
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self.dials = transport.host.become is not None

    @property
    def host(self) -> str:
        return self._transport.name

    @property
    def path(self) -> str:
        return self._transport.host.docker.socket

    @property
    def dial_argv(self) -> list[str]:
        return ["docker", "-H", f"unix://{self.path}", "system", "dial-stdio"]

    def open(self, timeout: float | None) -> Stream:
        """A stream to the engine. DockerError says why there is none, now or at the first answer that is missing."""
        stream = self._open(timeout)
        self._streams.add(stream)
        return stream

    def close(self) -> None:
        """Ends every stream, and wakes whoever reads from one."""
        for stream in list(self._streams):
            stream.shutdown(socket.SHUT_RDWR)

    def _open(self, timeout: float | None) -> Stream:
        limit = TIMEOUT if timeout is None else timeout
        if not self.dials:
            try:
                return self._direct(limit)
            except NoForwarding:
                self.dials = True
            except SocketRefused:
                seen = self._look()
                if not is_usable(seen):
                    raise self.refusal(seen=seen) from None
                self.dials = True
        return self._dialled(limit)

    def _dialled(self, timeout: float) -> Stream:
        dialled = self._dial(self.dial_argv, timeout)

        def explain() -> None:
            code, words = dialled.last_words()
            self.dials = self._transport.host.become is not None
            raise self.refusal(words, code)

        dialled.stream.on_silence = explain
        return dialled.stream

    def explain(self) -> None:
        """Raises why the socket hung up or was not there."""
        raise self.refusal()

    def refusal(
        self, words: bytes = b"", code: int | None = None, seen: Mapping[str, str] | None = None
    ) -> DockerError:
        """Why there is no engine: is the socket there, may we, is Docker installed? Looks, unless it was `seen`."""
        refused = sudo_refusal(words)
        if refused:
            return sudo_denied(self.host, refused)
        lines = tail(words) if code != NOT_FOUND else ()
        return DockerError(diagnose(self, self._look() if seen is None else seen, lines, code == NOT_FOUND))

    def _look(self) -> dict[str, str]:
        argv = ["sh", "-c", LOOK, "deployer-look", self.path]
        done = self._transport.run(argv, timeout=DIAGNOSIS_TIMEOUT)
        return dict(line.split("=", 1) for line in done.stdout.decode("utf-8", "replace").splitlines() if "=" in line)

    def odd_answer(self, error: Exception) -> DockerError:
        cause = "it does not answer" if isinstance(error, TimeoutError) else "it does not answer as Docker does"
        return DockerError(
            Diagnostic(
                "docker-down",
                f"host `{self.host}`: something holds `{self.path}`, but {cause}",
                host=self.host,
                hint="look at `sudo systemctl status docker` and `sudo journalctl -u docker` on the host",
            )
        )

    def connection(self) -> StreamConnection:
        return StreamConnection(self.open, "docker", None, TIMEOUT)


def is_usable(seen: Mapping[str, str]) -> bool:
    """Could `docker system dial-stdio` get through where the socket itself did not?"""
    return seen.get("socket") == "yes" and seen.get("access") == "yes" and "cli" in seen


def diagnose(door: EngineDoor, seen: Mapping[str, str], words: tuple[str, ...], no_cli: bool) -> Diagnostic:
    """From what was seen on the host to the error with its remedy."""
    user = one_line(seen.get("user", "")) or "the user"

    def diagnostic(code: str, message: str, hint: str) -> Diagnostic:
        return Diagnostic(code, f"host `{door.host}`: {message}", evidence=words, host=door.host, hint=hint)

    if seen.get("socket") == "no" and "cli" not in seen and "daemon" not in seen:
        message = f"there is no Docker, neither `{door.path}` nor the `docker` command"
        return diagnostic("docker-missing", message, f"install Docker Engine on it: {ENGINE_DOCS}")
    if seen.get("socket") == "yes" and seen.get("access") != "yes":
        remedy = f"`sudo usermod -aG docker {user}` on the host and log in anew, or set `become: sudo`"
        return diagnostic("docker-denied", f"user `{user}` may not use Docker's socket `{door.path}`", remedy)
    if "answers" in seen and "cli" in seen and not no_cli:
        return diagnostic("docker-down", "the Docker engine hung up, and answers again", "try again")
    if no_cli or "answers" in seen:
        message = "it has no `docker` command, which is needed where sshd forbids forwarding or `become` is set"
        remedy = "install the Docker CLI on it, or set `AllowStreamLocalForwarding yes` in its sshd_config"
        return diagnostic("docker-missing", message, remedy)
    state = "nothing answers at" if seen.get("socket") == "yes" else "there is no socket at"
    remedy = "start it with `sudo systemctl start docker`, or set the host's `docker.socket`"
    return diagnostic("docker-down", f"the Docker engine is not running, {state} `{door.path}`", remedy)
