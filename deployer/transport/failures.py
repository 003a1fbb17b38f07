"""The diagnostics of hosts that cannot be used, in one voice. Decides nothing and touches nothing."""

from __future__ import annotations

import errno
import socket

from deployer.dataclass import replace
from deployer.errors import Diagnostic, DockerError, HostError, UnreachableError
from deployer.pattern import pattern

TAIL_LINES = 6
TAIL_WIDTH = 300
CONTROL = pattern(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def tail(output: bytes) -> tuple[str, ...]:
    """The last lines of what a host wrote, bounded and without control characters."""
    text = output[-16384:].decode("utf-8", "replace").replace("\r\n", "\n")
    lines = [CONTROL.sub("\N{REPLACEMENT CHARACTER}", line)[:TAIL_WIDTH] for line in text.split("\n") if line.strip()]
    return tuple(lines[-TAIL_LINES:])


def one_line(text: object) -> str:
    return " ".join(CONTROL.sub(" ", str(text)[: 4 * TAIL_WIDTH]).split())[:TAIL_WIDTH].strip()


CAUSES = {
    errno.ECONNREFUSED: "connection refused",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network unreachable",
    errno.ETIMEDOUT: "no answer",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection closed",
}


def cause_of(error: BaseException) -> str:
    """A network error in a few words."""
    if isinstance(error, socket.gaierror):
        return "the name does not resolve"
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, OSError) and error.errno in CAUSES:
        return CAUSES[error.errno]
    return one_line(error) or type(error).__name__


def unreachable(host: str, target: str, cause: str, hint: str | None = None) -> UnreachableError:
    """`target` is what was tried, as `10.0.0.11:22`."""
    return UnreachableError(
        Diagnostic(
            "unreachable",
            f"host `{host}` cannot be reached at {target}: {cause}",
            host=host,
            hint=hint or f"check that the host is up and that `ssh {host} true` works",
        )
    )


def behind(host: str, error: HostError) -> HostError:
    """What is wrong with its jump host, said of the host behind."""
    found = error.diagnostic
    message = f"host `{host}` cannot be reached through its jump host: {found.message}"
    return type(error)(replace(found, message=message, host=host))


def connection_lost(host: str, target: str, cause: str) -> UnreachableError:
    return UnreachableError(
        Diagnostic(
            "connection-lost",
            f"the connection to host `{host}` ({target}) was lost: {cause}",
            host=host,
            hint="run the command again; what was done is kept",
        )
    )


def command_timeout(host: str, argv0: str, seconds: float, output: bytes = b"") -> HostError:
    return HostError(
        Diagnostic(
            "command-timeout",
            f"host `{host}`: `{one_line(argv0)}` did not finish within {seconds:g} s",
            evidence=tail(output),
            host=host,
            hint="check the load and the disks of the host, then run the command again",
        )
    )


def command_failed(host: str, argv0: str, exit_code: int, output: bytes) -> HostError:
    return HostError(
        Diagnostic(
            "command-failed",
            f"host `{host}`: `{one_line(argv0)}` exited with {exit_code}",
            evidence=tail(output),
            host=host,
        )
    )


def write_failed(host: str, path: str, output: bytes) -> HostError:
    return HostError(
        Diagnostic(
            "write-failed",
            f"host `{host}`: `{one_line(path)}` cannot be written",
            evidence=tail(output),
            host=host,
            hint="check that its directory exists and that the user may write there",
        )
    )


# Not every line that begins with `sudo: ` is a refusal: it warns of host names, and reports commands it cannot find.
SUDO_REFUSAL = pattern(
    rb"sudo: (?:a (?:password|terminal) is required|no tty present|not found|command not found|No such file"
    rb"|effective uid is not 0|account validation|no valid sudoers|\S+ (?:must be owned|is owned) by"
    rb"|unknown u(?:id|ser)|you do not exist)"
    rb"|is not in the sudoers|is not allowed to (?:execute|run)|may not run sudo"
)


def sudo_refusal(stderr: bytes) -> str | None:
    """sudo's own words when it was sudo that failed, and not the command under it."""
    for line in stderr[:4096].splitlines():
        if SUDO_REFUSAL.search(line):
            return one_line(line.decode("utf-8", "replace"))
    return None


def sudo_denied(host: str, words: str) -> DockerError:
    return DockerError(
        Diagnostic(
            "sudo-denied",
            f"host `{host}`: `become: sudo` does not work without a password",
            evidence=(words,),
            host=host,
            hint="allow it in the host's sudoers: `USER ALL=(ALL) NOPASSWD: ALL`, or leave `become` out",
        )
    )


def sessions_refused(host: str, words: str) -> HostError:
    return HostError(
        Diagnostic(
            "sessions-refused",
            f"host `{host}`: its sshd opens no session on this connection: {words or 'refused'}",
            host=host,
            hint="raise `MaxSessions` in the host's sshd_config; 10 is its default",
        )
    )


def forwarding_refused(host: str, target: str) -> HostError:
    return HostError(
        Diagnostic(
            "forwarding-refused",
            f"host `{host}`: its sshd forbids the connection to {target}",
            host=host,
            hint="set `AllowTcpForwarding local` in the host's sshd_config; `connection: openssh` needs it too",
        )
    )
