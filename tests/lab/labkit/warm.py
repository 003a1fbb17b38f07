"""The command line without the wait for its imports: a fork of a process that has them, for each run.

What runs is the same program in a process of its own; most of a run's CPU time is imports, and the lab runs thousands.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

LARGEST = 1 << 17  # bytes of a request
NOT_SHARED = ("PYTHON", "LC_", "LANG")  # read when an interpreter starts


class Running:
    """A run that goes on, and what it has said so far. `pid` is its own, to be killed by."""

    def __init__(self, pid: int, reply: socket.socket, out: int, err: IO[bytes]) -> None:
        self.pid, self._reply, self._err = pid, reply, err
        self.lines: list[str] = []
        self._said = threading.Condition()
        self._is_over = False
        self._reader = threading.Thread(target=self._read, args=(out,), daemon=True)
        self._reader.start()

    def _read(self, out: int) -> None:
        with os.fdopen(out) as pipe:
            for line in pipe:
                with self._said:
                    self.lines.append(line)
                    self._said.notify_all()
        with self._said:
            self._is_over = True
            self._said.notify_all()

    def has_said(self, lines: int, timeout: float) -> bool:
        """Waits for so many lines; False where it ends before."""
        with self._said:
            self._said.wait_for(lambda: self._is_over or len(self.lines) >= lines, timeout)
            return len(self.lines) >= lines

    def is_over_within(self, seconds: float) -> bool:
        with self._said:
            return self._said.wait_for(lambda: self._is_over, seconds)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def finish(self, arguments: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        with self._reply, self._err:
            self._reply.settimeout(timeout)
            code = int(self._reply.makefile("r").readline())
            self._reader.join(timeout)
            return subprocess.CompletedProcess(list(arguments), code, "".join(self.lines), text_of(self._err.fileno()))


class Warm:
    """The process that is forked from; started by the first run, gone when this process ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None  # kept, since it runs as long as this one does

    def run(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        request = json.dumps({"argv": list(arguments), "folder": str(folder), "environment": dict(environment)})
        ours, theirs = socket.socketpair()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, ours:
            with theirs, self._lock:
                fds = [theirs.fileno(), out.fileno(), err.fileno()]
                socket.send_fds(self._started(), [request.encode()], fds)
            code = ended(ours, arguments, timeout)
            said = [text_of(out.fileno()), text_of(err.fileno())]
        return subprocess.CompletedProcess(list(arguments), code, *said)

    def start(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Running:
        request = json.dumps({"argv": list(arguments), "folder": str(folder), "environment": dict(environment)})
        ours, theirs = socket.socketpair()
        out, into = os.pipe()
        err = tempfile.TemporaryFile()  # noqa: SIM115
        with theirs, self._lock:
            socket.send_fds(self._started(), [request.encode()], [theirs.fileno(), into, err.fileno()])
        os.close(into)
        pid = b""
        while not pid.endswith(b"\n"):
            pid += ours.recv(1)
        return Running(int(pid), ours, out, err)

    def _started(self) -> socket.socket:
        if self._control is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                argv = [sys.executable, "-m", "labkit.warm", str(theirs.fileno())]
                path = os.pathsep.join((str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")))
                self._process = subprocess.Popen(
                    argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": path}
                )
            self._control = ours
        return self._control


WARM = Warm()


def is_shared(environment: Mapping[str, str]) -> bool:
    """Whether an interpreter that was started before can take this environment on."""
    return not any(name.startswith(NOT_SHARED) and os.environ.get(name) != value for name, value in environment.items())


def text_of(fd: int) -> str:
    return os.pread(fd, os.fstat(fd).st_size, 0).decode()


def ended(reply: socket.socket, arguments: Sequence[str], timeout: float) -> int:
    """The exit code. Kills what takes longer."""
    with reply.makefile("r") as said:
        pid = int(said.readline())
        reply.settimeout(timeout)
        try:
            return int(said.readline())
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(list(arguments), timeout) from None


def serve(control: socket.socket) -> NoReturn:
    """Forks for each request until nobody can send any."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them here
    import_all()
    gc.freeze()
    while True:
        message, fds, _, _ = socket.recv_fds(control, LARGEST, 3)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            supervise(json.loads(message), *fds)
        for fd in fds:
            os.close(fd)


def import_all() -> None:
    import deployer

    for module in pkgutil.walk_packages(deployer.__path__, "deployer."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in ("fabric", "jinja2", "jinja2.sandbox", "yaml", "rich.live"):
        importlib.import_module(name)
    from deployer.spec.language import DeploySpec

    DeploySpec.model_validate({"version": 1, "project": "warm", "services": {}})


def supervise(request: dict[str, object], reply: int, out: int, err: int) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        become(request, reply, out, err)
    os.write(reply, f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    os.write(reply, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def become(request: dict[str, object], reply: int, out: int, err: int) -> NoReturn:
    try:
        os.close(reply)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout = os.fdopen(1, "w", closefd=False)  # the ones there know how to seek, if this began with files
        sys.stderr = os.fdopen(2, "w", closefd=False)
        os.closerange(3, max(out, err) + 1)
        os.chdir(str(request["folder"]))
        os.environ.clear()
        os.environ.update(request["environment"])  # type: ignore[call-overload]
        random.seed()
        sys.argv = ["deployer", *request["argv"]]  # type: ignore[misc]
        from deployer.cli import main

        main()
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 1)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(70)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
