"""A private ControlMaster of the system's ssh: started at its first use, shared by threads, started again when gone."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, HostError, UnreachableError
from deployer.transport.asking import Jump
from deployer.transport.base import ConnectOptions
from deployer.transport.complaints import failure, is_dropped
from deployer.transport.failures import connection_lost
from deployer.transport.link import Failures, pause_before
from deployer.transport.masterprocess import MasterProcess
from deployer.transport.sshconfig import check_address

if TYPE_CHECKING:
    from deployer.spec.language import Host

P = TypeVar("P", bound=MasterProcess)
LOGIN_TIMEOUT = 40.0  # seconds after the TCP connection

STRICT = (
    *("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ForwardAgent=no", "-o", "ForwardX11=no"),
    *("-o", "RequestTTY=no", "-o", "PermitLocalCommand=no", "-o", "RemoteCommand=none", "-o", "ControlPersist=no"),
)


@dataclass(frozen=True, slots=True)
class Goal(Generic[P]):
    """Where a master leads: how errors name it, its address, and what starts a process of this ssh to it."""

    name: str
    address: str
    start: Callable[[str], P]


class Master(Generic[P]):
    """The one connection of the system's ssh to a host or jump host; a failure counts for `fails_for` seconds."""

    def __init__(self, goal: Goal[P], options: ConnectOptions, fails_for: float = 0.0) -> None:
        self._goal = goal
        self._options = options
        self._lock = threading.Lock()
        self._running: P | None = None
        self._failures = Failures(fails_for)
        self._closed = threading.Event()

    def running(self) -> P:
        """Threads that waited for a connection that failed fail with it, instead of one by one."""
        seen = self._failures.count
        with self._lock:
            if self._running is None or not self._running.is_alive:
                self._failures.check(seen)
                with self._failures.noted():
                    self._running = self._start()
            return self._running

    def _start(self) -> P:
        ssh = shutil.which("ssh")
        if ssh is None:
            raise HostError(
                Diagnostic(
                    "ssh-missing",
                    f"host `{self._goal.name}` has `connection: openssh`, but there is no `ssh` command here",
                    host=self._goal.name,
                    hint="install the OpenSSH client, or set `connection: ssh`",
                )
            )
        for attempt in range(max(1, self._options.attempts)):
            if self._closed.wait(pause_before(attempt, self._options) if attempt else 0.0):
                raise self.lost()
            running = self._goal.start(ssh)
            if running.wait_ready(self._options.connect_timeout + LOGIN_TIMEOUT):
                return running
            words = running.words()
            running.close()
            error = failure(self._goal.name, self._goal.address, words)
            if not (is_dropped(words) and isinstance(error, UnreachableError)):
                break
        raise error

    def lost(self) -> HostError:
        return connection_lost(self._goal.name, self._goal.address, "ssh's connection ended")

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.close()


def options_of(name: str, host: Host, options: ConnectOptions) -> list[str]:
    """ssh's options for a host: what the spec says, but for its jump hosts; the rest ssh finds itself."""
    login, _, address = (host.address or name).rpartition("@")
    for user in (login or None, host.user):
        check_address(name, Jump(address, user))
    argv = [*options_for_all(options)]
    argv += ["-l", host.user] if host.user else []
    argv += ["-p", str(host.port)] if host.port else []
    argv += ["-i", literal(host.key)] if host.key else []
    argv += known_hosts_options([host.known_hosts]) if host.known_hosts else []
    return argv


def options_for_all(options: ConnectOptions) -> list[str]:
    argv = ["-F", options.ssh_config] if options.ssh_config else []
    argv += [*STRICT, "-o", f"ConnectTimeout={max(1, round(options.connect_timeout))}"]
    argv += ["-o", f"ServerAliveInterval={max(1, round(options.keepalive))}", "-o", "ServerAliveCountMax=3"]
    return argv


def known_hosts_options(files: Sequence[str]) -> list[str]:
    """These files and no others."""
    written = " ".join(f'"{literal(file)}"' for file in files)
    return ["-o", f"UserKnownHostsFile={written}", "-o", "GlobalKnownHostsFile=none"]


def literal(path: str) -> str:
    """A path without ssh's `%` tokens."""
    return str(Path(path).expanduser()).replace("%", "%%")
