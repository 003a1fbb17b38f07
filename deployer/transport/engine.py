"""The way to a host's Docker engine: its socket directly, or `docker system dial-stdio`; and why there is none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from deployer.errors import Diagnostic, DockerError
from deployer.transport.failures import one_line, sudo_denied, sudo_refusal, tail
from deployer.transport.streams import Stream, StreamConnection

if TYPE_CHECKING:
    from deployer.transport.base import Transport

TIMEOUT = 60.0  # seconds to wait for the engine's answer, unless a call says otherwise
DIAGNOSIS_TIMEOUT = 15.0
ENGINE_DOCS = "https://docs.docker.com/engine/install/"

LOOK = """
s=$1
if [ -S "$s" ]; then echo socket=yes; elif [ -e "$s" ]; then echo socket=no-socket; else echo socket=no; fi
if [ -r "$s" ] && [ -w "$s" ]; then echo access=yes; else echo access=no; fi
if command -v docker >/dev/null 2>&1; then echo cli=yes; fi
if command -v dockerd >/dev/null 2>&1; then echo daemon=yes; fi
echo "user=$(id -un)"
"""


class NoForwarding(Exception):
    """The host's sshd forbids forwarding sockets, or does not know how."""


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
        self._lock = threading.Lock()
        self.dials = transport.host.become is not None

    @property
    def host(self) -> str:
        return self._transport.name

    @property
    def dial_argv(self) -> list[str]:
        return ["docker", "-H", f"unix://{self._transport.host.docker.socket}", "system", "dial-stdio"]

    def open(self, timeout: float | None) -> Stream:
        """A stream to the engine. DockerError says why there is none, now or at the first answer that is missing."""
        limit = TIMEOUT if timeout is None else timeout
        if not self.dials:
            try:
                return self._direct(limit)
            except NoForwarding:
                self.dials = True
        return self._dialled(limit)

    def _dialled(self, timeout: float) -> Stream:
        dialled = self._dial(self.dial_argv, timeout)

        def explain() -> None:
            code, words = dialled.last_words()
            raise self.refusal(words, code)

        dialled.stream.on_silence = explain
        return dialled.stream

    def explain(self) -> None:
        """Raises why the socket hung up or was not there."""
        raise self.refusal()

    def refusal(self, words: bytes = b"", code: int | None = None) -> DockerError:
        """Looks once at the host: is the socket there, may we, is Docker installed?"""
        name, socket = self._transport.name, self._transport.host.docker.socket
        refused = sudo_refusal(words)
        if refused:
            return sudo_denied(name, refused)
        done = self._transport.run(["sh", "-c", LOOK, "deployer-look", socket], timeout=DIAGNOSIS_TIMEOUT)
        seen = dict(line.split("=", 1) for line in done.stdout.decode("utf-8", "replace").splitlines() if "=" in line)
        return DockerError(diagnose(name, socket, seen, tail(words) if code != 127 else (), code == 127))

    def odd_answer(self, error: Exception) -> DockerError:
        cause = "it does not answer" if isinstance(error, TimeoutError) else "it does not answer as Docker does"
        return DockerError(
            Diagnostic(
                "docker-down",
                f"host `{self.host}`: something holds `{self._transport.host.docker.socket}`, but {cause}",
                host=self.host,
                hint="look at `sudo systemctl status docker` and `sudo journalctl -u docker` on the host",
            )
        )

    def connection(self) -> StreamConnection:
        return StreamConnection(self.open, "docker", None, TIMEOUT)


def diagnose(host: str, socket: str, seen: dict[str, str], words: tuple[str, ...], no_cli: bool) -> Diagnostic:
    """From what was seen on the host to the error with its remedy."""
    user = one_line(seen.get("user", "")) or "the user"
    installed = "cli" in seen or "daemon" in seen
    if seen.get("socket") == "no" and not installed:
        return Diagnostic(
            "docker-missing",
            f"host `{host}` has no Docker: neither `{socket}` nor the `docker` command is there",
            evidence=words,
            host=host,
            hint=f"install Docker Engine on it: {ENGINE_DOCS}",
        )
    if seen.get("socket") == "yes" and seen.get("access") != "yes":
        return Diagnostic(
            "docker-denied",
            f"host `{host}`: user `{user}` may not use Docker's socket `{socket}`",
            evidence=words,
            host=host,
            hint=f"`sudo usermod -aG docker {user}` on the host and log in anew, or set `become: sudo`",
        )
    if no_cli or (seen.get("socket") == "yes" and "cli" not in seen and words):
        return Diagnostic(
            "docker-missing",
            f"host `{host}` has no `docker` command, which is needed where sshd forbids forwarding or `become` is set",
            evidence=words,
            host=host,
            hint="install the Docker CLI on it, or set `AllowStreamLocalForwarding yes` in its sshd_config",
        )
    state = "nothing answers at" if seen.get("socket") == "yes" else "there is no socket at"
    return Diagnostic(
        "docker-down",
        f"host `{host}`: the Docker engine is not running, {state} `{socket}`",
        evidence=words,
        host=host,
        hint="start it with `sudo systemctl start docker`, or set the host's `docker.socket`",
    )
