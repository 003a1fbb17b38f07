"""One `ssh -M` of the system's ssh and its folder of sockets: ended with us whatever happens. Retries nothing."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
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

from deployer.transport import process
from deployer.transport.base import Completed

READY = b"deployer-ready"
# The master's own session reads our pipe: when we die, however, it ends, and the master with it.
STAY = f"echo {READY.decode()}; exec cat >/dev/null"
# A master without a session reads nothing: a shell around it reads our pipe.
AROUND = """
exec 3<&0
"$@" </dev/null 3<&- & ssh=$!
{ cat <&3; kill $ssh; } >/dev/null 2>&1 & watch=$!
wait $ssh; code=$?
kill $watch
exit $code
"""
CONTROL_TIMEOUT = 15.0
SUN_PATH = 80  # of 108 bytes; ssh appends 17 while it makes the socket
WORDS = 200  # lines of the master's stderr that are kept

# A client of the master needs no configuration, and must not connect by itself when the master is gone.
THROUGH = (
    *("-F", "none", "-o", "BatchMode=yes", "-o", "ControlMaster=no", "-o", "ProxyCommand=false"),
    *("-o", "RequestTTY=no", "-o", "LogLevel=ERROR"),
)


class MasterProcess:
    """The process, its folder and what it says."""

    def __init__(self, ssh: Sequence[str], address: str) -> None:
        self._address = address
        self._words: deque[bytes] = deque(maxlen=WORDS)
        self.folder = short_folder()
        pipe = subprocess.PIPE
        self._process = process.start(self._argv(ssh), stdin=pipe, stdout=pipe, stderr=pipe)
        self._reader = threading.Thread(target=self._read_words, name=f"ssh {address}", daemon=True)
        self._reader.start()
        self._through = [ssh[0], *THROUGH, "-o", f"ControlPath={self.folder}/m"]
        self._finalizer = weakref.finalize(
            self, end, self._process, [*self._through, "-O", "exit", address], self.folder
        )

    def _argv(self, ssh: Sequence[str]) -> list[str]:
        raise NotImplementedError

    def _master(self, ssh: Sequence[str]) -> list[str]:
        return [*ssh, "-M", "-o", f"ControlPath={self.folder}/m", "-o", "ClearAllForwardings=yes"]

    def wait_ready(self, timeout: float) -> bool:
        """False when ssh ended or did not log in in time."""
        raise NotImplementedError

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

    def close(self) -> None:
        self._finalizer()


class Passage(MasterProcess):
    """The way through a jump host: logged in, without a session there."""

    def _argv(self, ssh: Sequence[str]) -> list[str]:
        return ["sh", "-c", AROUND, "sh", *self._master(ssh), "-N", self._address]

    def wait_ready(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while self.is_alive and time.monotonic() < deadline:
            if Path(self.folder, "m").exists():  # ssh makes it once it has logged in
                return True
            time.sleep(0.02)
        return False

    @property
    def command(self) -> str:
        """A ProxyCommand of ssh: its `%h` and `%p` are the host behind."""
        quiet = [word.replace("%", "%%") for word in self._through]
        return shlex.join([*quiet, "-W", "[%h]:%p", self._address.replace("%", "%%")])


class Running(MasterProcess):
    """A master to a deployed host, with one session of its own."""

    def __init__(self, ssh: Sequence[str], address: str) -> None:
        self._lock = threading.Lock()
        self._forwards: dict[str, str] = {}
        super().__init__(ssh, address)

    def _argv(self, ssh: Sequence[str]) -> list[str]:
        return [*self._master(ssh), self._address, STAY]

    def wait_ready(self, timeout: float) -> bool:
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
