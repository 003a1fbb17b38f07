"""A real sshd and a real dockerd of the tests' own, on 127.0.0.1, with accounts that exist only for that sshd."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

TOOLS = ("sshd", "ssh", "ssh-keygen", "ssh-agent", "ssh-add", "unshare", "mount", "dockerd", "docker", "sudo")
ACCOUNTS = (("root", 0), ("guest", 4242), ("ops", 4243))


def missing() -> str | None:
    """Why the rig cannot run here; None: it can."""
    if os.geteuid() != 0:
        return "needs root: it starts its own sshd and dockerd"
    absent = [tool for tool in TOOLS if which(tool) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
        return "needs CAP_SYS_ADMIN: its accounts live in a mount namespace"
    return None


def which(tool: str) -> str | None:
    return shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def eventually(check: Callable[[], bool], what: str, limit: float = 30.0) -> None:
    deadline = time.monotonic() + limit
    while not check():
        assert time.monotonic() < deadline, f"not within {limit:g} s: {what}"
        time.sleep(0.02)


def listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def keygen(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", path], check=True)
    return path


def public(key: Path) -> str:
    """`TYPE BASE64` of a key file."""
    return " ".join(Path(f"{key}.pub").read_text().split()[:2])


@dataclass
class Folder:
    """Keys, accounts and settings that all sshds of the tests share."""

    path: Path
    host_keys: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o755)
        self.host_keys = {kind: keygen(self.path / f"host_{kind}", kind) for kind in ("ed25519", "ecdsa", "rsa")}
        self.key = keygen(self.path / "id")
        self.stranger = keygen(self.path / "stranger")
        self.encrypted = keygen(self.path / "encrypted", passphrase="open sesame")
        self.authorized = self.path / "authorized_keys"
        self.authorized.write_text(f"{public(self.key)}\n{public(self.encrypted)}\n")
        self._accounts()

    def _accounts(self) -> None:
        """passwd, shadow, group and sudoers as sshd's mount namespace sees them."""
        etc = self.path / "etc"
        etc.mkdir()
        for name, uid in ACCOUNTS:
            home = self.path / "home" / name
            home.mkdir(parents=True)
            os.chown(home, uid, uid)
        real = {file: Path("/etc", file).read_text().splitlines() for file in ("passwd", "shadow", "group")}
        names = {name for name, _ in ACCOUNTS}
        for file, entry in (
            ("passwd", lambda name, uid: f"{name}:x:{uid}:{uid}::{self.path}/home/{name}:/bin/sh"),
            ("shadow", lambda name, uid: f"{name}:*:19000:0:99999:7:::"),
            ("group", lambda name, uid: f"{name}:x:{uid}:"),
        ):
            others = [line for line in real[file] if line.split(":")[0] not in names]
            (etc / file).write_text("\n".join([*(entry(*account) for account in ACCOUNTS), *others]) + "\n")
        (etc / "shadow").chmod(0o640)
        (etc / "sudoers").write_text("Defaults use_pty\nroot ALL=(ALL:ALL) ALL\nops ALL=(ALL:ALL) NOPASSWD: ALL\n")
        (etc / "sudoers").chmod(0o440)

    def mounts(self) -> str:
        files = ("passwd", "shadow", "group", "sudoers")
        return " && ".join(f"mount --bind {self.path}/etc/{file} /etc/{file}" for file in files)


class Sshd:
    """An sshd on a free port of 127.0.0.1; `settings` are lines of sshd_config."""

    def __init__(self, folder: Folder, name: str, settings: tuple[str, ...] = (), keys: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.name = name
        self.port = free_port()
        self.log = folder.path / f"{name}.log"
        self._config = folder.path / f"{name}.conf"
        kinds = keys or tuple(folder.host_keys)
        self._config.write_text(
            "\n".join(
                [
                    *settings,
                    f"Port {self.port}",
                    "ListenAddress 127.0.0.1",
                    *(f"HostKey {folder.host_keys[kind]}" for kind in kinds),
                    f"PidFile {folder.path}/{name}.pid",
                    f"AuthorizedKeysFile {folder.authorized}",
                    "StrictModes no",
                    "UsePAM no",
                    "PasswordAuthentication no",
                    "KbdInteractiveAuthentication no",
                    "PermitRootLogin yes",
                    "PrintMotd no",
                    "",
                ]
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def known_as(self) -> str:
        return f"[127.0.0.1]:{self.port}"

    def known_hosts(self, *kinds: str, name: str = "", prefix: str = "") -> Path:
        """A known_hosts file with this sshd's keys."""
        lines = [f"{prefix}{name or self.known_as} {public(self.folder.host_keys[kind])}\n" for kind in kinds]
        file = self.folder.path / f"known_{self.name}_{abs(hash((kinds, name, prefix)))}"
        file.write_text("".join(lines))
        return file

    def start(self) -> Sshd:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        command = f"{self.folder.mounts()} && exec {which('sshd')} -D -f {self._config} -E {self.log}"
        self._process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", command], start_new_session=True, stdin=subprocess.DEVNULL
        )
        eventually(lambda: listens(self.port), f"sshd `{self.name}` listens; see {self.log}")
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(10)
            self._process = None


class Dockerd:
    """A private Docker engine without networks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = path / "docker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Dockerd:
        self.path.mkdir(parents=True, exist_ok=True)
        dockerd = which("dockerd")
        assert dockerd is not None
        # `--bridge=none` removes the `docker0` of its network namespace, so that must not be this machine's
        argv = ["unshare", "--net", dockerd]
        argv += ["--data-root", f"{self.path}/data", "--exec-root", f"{self.path}/exec"]
        argv += ["-H", f"unix://{self.socket}", "-p", f"{self.path}/pid", "--iptables=false", "--bridge=none"]
        with (self.path / "log").open("wb") as log:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        eventually(self._answers, f"dockerd answers; see {self.path}/log", 60)
        self.socket.chmod(0o660)
        return self

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
            sock.connect(str(self.socket))
            return True
        return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)
            self._process = None


class Proxy:
    """TCP before an sshd, with faults: the first `drops` connections are closed unheard; `freeze` stops all traffic."""

    def __init__(self, port: int, drops: int = 0) -> None:
        self.target = port
        self.drops = drops
        self.accepted = 0
        self._frozen = threading.Event()
        self._closed = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._server]
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self.accepted += 1
            if self.accepted <= self.drops:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self.target))
            self._open += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while self._frozen.is_set() and not self._closed.is_set():
                    time.sleep(0.01)
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def freeze(self) -> None:
        self._frozen.set()

    def close(self) -> None:
        self._closed.set()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


@contextlib.contextmanager
def started(sshd: Sshd) -> Iterator[Sshd]:
    try:
        yield sshd.start()
    finally:
        sshd.stop()
