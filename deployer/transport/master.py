"""A private ControlMaster of the system's ssh: started at its first use, ended with us whatever happens."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deployer.errors import Diagnostic, HostError, UnreachableError
from deployer.transport import process
from deployer.transport.asking import Jump
from deployer.transport.base import Completed, ConnectOptions
from deployer.transport.complaints import failure, is_dropped
from deployer.transport.failures import connection_lost
from deployer.transport.link import pause_before
from deployer.transport.sshconfig import check_address, parse_jump

if TYPE_CHECKING:
    from deployer.spec.language import Host

READY = b"deployer-ready"
# The master's own session reads our pipe: when we die, however, it ends, and the master with it.
STAY = f"echo {READY.decode()}; exec cat >/dev/null"
LOGIN_TIMEOUT = 40.0  # seconds after the TCP connection
CONTROL_TIMEOUT = 15.0
SUN_PATH = 80  # of 108 bytes; ssh appends 17 while it makes the socket
WORDS = 200  # lines of the master's stderr that are kept

STRICT = (
    *("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ForwardAgent=no", "-o", "ForwardX11=no"),
    *("-o", "RequestTTY=no", "-o", "PermitLocalCommand=no", "-o", "RemoteCommand=none", "-o", "ControlPersist=no"),
)
# A client of the master needs no configuration, and must not connect by itself when the master is gone.
THROUGH = (
    *("-F", "none", "-o", "BatchMode=yes", "-o", "ControlMaster=no", "-o", "ProxyCommand=false"),
    *("-o", "RequestTTY=no", "-o", "LogLevel=ERROR"),
)


class Master:
    """The one connection of the system's ssh to a host. Threads share it."""

    def __init__(self, name: str, host: Host, options: ConnectOptions) -> None:
        self._name = name
        self._host = host
        self._options = options
        self._lock = threading.Lock()
        self._running: Running | None = None

    def running(self) -> Running:
        with self._lock:
            if self._running is None or not self._running.is_alive:
                self._running = self._start()
            return self._running

    def _start(self) -> Running:
        ssh = shutil.which("ssh")
        if ssh is None:
            raise HostError(
                Diagnostic(
                    "ssh-missing",
                    f"host `{self._name}` has `connection: openssh`, but there is no `ssh` command here",
                    host=self._name,
                    hint="install the OpenSSH client, or set `connection: ssh`",
                )
            )
        for attempt in range(max(1, self._options.attempts)):
            if attempt:
                time.sleep(pause_before(attempt, self._options))
            running = Running([ssh, *options_of(self._name, self._host, self._options)], self._address)
            if running.wait_ready(self._options.connect_timeout + LOGIN_TIMEOUT):
                return running
            words = running.words()
            running.close()
            error = failure(self._name, self._address, words)
            if not (is_dropped(words) and isinstance(error, UnreachableError)):
                break
        raise error

    @property
    def _address(self) -> str:
        return self._host.address or self._name

    def lost(self) -> HostError:
        return connection_lost(self._name, self._address, "ssh's connection ended")

    def close(self) -> None:
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.close()


def options_of(name: str, host: Host, options: ConnectOptions) -> list[str]:
    """ssh's options for a host: what the spec says; the rest ssh finds itself."""
    login, _, address = (host.address or name).rpartition("@")
    for user in (login or None, host.user):
        check_address(name, Jump(address, user))
    argv = ["-F", options.ssh_config] if options.ssh_config else []
    argv += [*STRICT, "-o", f"ConnectTimeout={max(1, round(options.connect_timeout))}"]
    argv += ["-o", f"ServerAliveInterval={max(1, round(options.keepalive))}", "-o", "ServerAliveCountMax=3"]
    argv += ["-l", host.user] if host.user else []
    argv += ["-p", str(host.port)] if host.port else []
    argv += ["-i", literal(host.key)] if host.key else []
    if host.jump:
        hops = [parse_jump(name, part) for text in host.jump for part in text.split(",")]
        argv += ["-J", ",".join(written(hop) for hop in hops)]
    if host.known_hosts:
        argv += ["-o", f'UserKnownHostsFile="{literal(host.known_hosts)}"', "-o", "GlobalKnownHostsFile=none"]
    return argv


def literal(path: str) -> str:
    """A path without ssh's `%` tokens."""
    return str(Path(path).expanduser()).replace("%", "%%")


def written(jump: Jump) -> str:
    address = f"[{jump.address}]" if ":" in jump.address else jump.address
    return (f"{jump.user}@" if jump.user else "") + address + (f":{jump.port}" if jump.port else "")


class Running:
    """A master process and its folder of sockets."""

    def __init__(self, ssh: Sequence[str], address: str) -> None:
        self._ssh = list(ssh)
        self._address = address
        self._lock = threading.Lock()
        self._forwards: dict[str, str] = {}
        self._words: deque[bytes] = deque(maxlen=WORDS)
        self.folder = short_folder()
        own = ["-M", "-o", f"ControlPath={self.folder}/m", "-o", "ClearAllForwardings=yes", address, STAY]
        pipe = subprocess.PIPE
        self._process = process.start([*self._ssh, *own], stdin=pipe, stdout=pipe, stderr=pipe)
        self._reader = threading.Thread(target=self._read_words, name=f"ssh {address}", daemon=True)
        self._reader.start()
        self._through = [self._ssh[0], *THROUGH, "-o", f"ControlPath={self.folder}/m"]
        self._finalizer = weakref.finalize(
            self, end, self._process, [*self._through, "-O", "exit", address], self.folder
        )

    def _read_words(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        with contextlib.suppress(OSError, ValueError):
            for line in iter(lambda: stderr.readline(4096), b""):
                self._words.append(line)

    def words(self) -> bytes:
        """What ssh said before it ended."""
        process.end_group(self._process)
        self._reader.join(2.0)
        return b"".join(self._words)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def is_gone(self) -> bool:
        """Not alive, or about to end: its clients hear of a lost connection before it does."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.3)
        return not self.is_alive

    def wait_ready(self, timeout: float) -> bool:
        """False when ssh ended or said nothing in time."""
        seen, errors = b"", process.Output()
        with contextlib.suppress(TimeoutError):
            for chunk in process.chunks_of(self._process.stdout, None, time.monotonic() + timeout, errors):
                seen = (seen + chunk)[-4096:]
                if READY in seen:
                    return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(process.LINGER)  # its last words come after its output ended
        return False

    def argv(self, line: str) -> list[str]:
        """A command over this master; never over a connection of its own."""
        return [*self._through, "--", self._address, line]

    def forward(self, target: str) -> str:
        """Path of a local socket that leads to `target` (a socket's path, or `address:port`) on the host."""
        with self._lock:
            if target not in self._forwards:
                path = f"{self.folder}/{len(self._forwards)}"
                done = self._control("forward", "-L", f"{path}:{target}")
                if done.exit_code != 0:
                    raise OSError(done.stderr.decode("utf-8", "replace").strip() or "ssh could not forward")
                self._forwards[target] = path
            return self._forwards[target]

    def _control(self, command: str, *arguments: str) -> Completed:
        argv = [*self._through, "-O", command, *arguments, self._address]
        try:
            return process.run(argv, b"", CONTROL_TIMEOUT)
        except process.Overdue as error:
            return Completed(255, b"", error.output)

    def said(self, pattern: bytes) -> bool:
        """Did ssh complain of this? It does a moment after the other end of a forward saw its end."""
        for _ in range(10):
            if any(re.search(pattern, line) for line in list(self._words)):
                return True
            time.sleep(0.02)
        return False

    def connect(self, target: str, timeout: float) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        try:
            sock.connect(self.forward(target))
        except BaseException:
            sock.close()
            raise
        return sock

    def close(self) -> None:
        self._finalizer()


def end(master: subprocess.Popen[bytes], exit_argv: list[str], folder: str) -> None:
    if master.poll() is None:
        with contextlib.suppress(process.Overdue, OSError):
            process.run(exit_argv, b"", 3.0)
        with contextlib.suppress(subprocess.TimeoutExpired):
            master.wait(1.0)
    process.kill(master)
    shutil.rmtree(folder, ignore_errors=True)


def short_folder() -> str:
    """A new 0700 folder whose sockets fit into sun_path."""
    folder = tempfile.mkdtemp(prefix="dp-")
    if len(os.fsencode(folder)) > SUN_PATH:
        Path(folder).rmdir()
        folder = tempfile.mkdtemp(prefix="dp-", dir="/tmp")
    return folder
