"""A dockerd, registries and an sshd of our own on this machine, for tests that need real ones.

Nothing of the machine's own Docker is touched: own socket, own data, own bridge. Needs root.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import bcrypt

from deployer.spec.language import Host
from deployer.transport import Transport
from deployer.transport.local import LocalTransport

NEEDED = ("dockerd", "docker-registry", "sshd", "ssh-keygen", "ip", "busybox")
SBIN = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
APPLETS = ("printf", "sh", "httpd", "sleep", "cat", "tr", "awk", "mkdir", "touch", "chmod")
LOGIN = ("ops", "correct horse")


def missing() -> str | None:
    """Why no real engine can be had here."""
    if os.geteuid() != 0:
        return "a dockerd of our own needs root"
    absent = [name for name in NEEDED if shutil.which(name, path=SBIN) is None]
    return f"a dockerd of our own needs {', '.join(absent)}: run `make deps`" if absent else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(what: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError("it does not start")
        time.sleep(0.05)


def listens(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def running(argv: Sequence[str], log: Path, patience: float = 20.0) -> Iterator[subprocess.Popen[bytes]]:
    program = shutil.which(argv[0], path=SBIN) or argv[0]
    env = {**os.environ, "PATH": SBIN}
    with log.open("wb") as output:
        process = subprocess.Popen([program, *argv[1:]], stdout=output, stderr=output, start_new_session=True, env=env)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def bridge(network: int) -> Iterator[str]:
    name = f"dplrt{network}"
    subprocess.run(
        ["ip", "link", "del", name], check=False, env={"PATH": SBIN}, stderr=subprocess.DEVNULL
    )  # of one that died
    for command in (f"link add {name} type bridge", f"addr add 10.81.{network}.1/24 dev {name}", f"link set {name} up"):
        subprocess.run(["ip", *command.split()], check=True, env={"PATH": SBIN})
    try:
        yield name
    finally:
        subprocess.run(["ip", "link", "del", name], check=False, env={"PATH": SBIN})


@contextlib.contextmanager
def dockerd(directory: Path, network: int) -> Iterator[Path]:
    """Its socket. DOCKERD_CONFIG: its settings as JSON, as `{"features": {"containerd-snapshotter": true}}`."""
    socket_path = directory / "docker.sock"
    (directory / "daemon.json").write_text(os.environ.get("DOCKERD_CONFIG", "{}"))
    with bridge(network) as name:
        argv = [
            *("dockerd", "--data-root", f"{directory}/data", "--exec-root", f"{directory}/exec"),
            *("--pidfile", f"{directory}/pid", "--config-file", f"{directory}/daemon.json"),
            *("-H", f"unix://{socket_path}", "--bridge", name, "--iptables=false", "--ip-masq=false"),
            *("--ip-forward=false", "--log-level", "warn"),
        ]
        with running(argv, directory / "dockerd.log") as process:
            try:
                wait_for(lambda: answers(socket_path) or process.poll() is not None)
            except TimeoutError:
                raise AssertionError((directory / "dockerd.log").read_text()[-3000:]) from None
            assert process.poll() is None, (directory / "dockerd.log").read_text()[-3000:]
            yield socket_path


def answers(socket_path: Path) -> bool:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
        return probe.connect_ex(str(socket_path)) == 0


@contextlib.contextmanager
def registry(directory: Path, name: str, login: tuple[str, str] | None = None) -> Iterator[str]:
    """Its address. Docker trusts registries of 127.0.0.0/8 without TLS."""
    port = free_port()
    auth = ""
    if login is not None:
        hashed = bcrypt.hashpw(login[1].encode(), bcrypt.gensalt(4)).decode()
        (directory / f"{name}.htpasswd").write_text(f"{login[0]}:{hashed}\n")
        auth = f"auth: {{htpasswd: {{realm: tests, path: {directory}/{name}.htpasswd}}}}\n"
    (directory / f"{name}.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {directory}/{name}}}}}\n"
        f'http: {{addr: "127.0.0.1:{port}"}}\n{auth}'
    )
    with running(["docker-registry", "serve", f"{directory}/{name}.yml"], directory / f"{name}.log"):
        wait_for(lambda: listens(port))
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def sshd(directory: Path, docker_socket: Path) -> Iterator[Host]:
    """This machine as a host over SSH, for root and one key."""
    port = free_port()
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", f"{directory}/{key}"], check=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    (directory / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\nAuthorizedKeysFile {directory}/user.pub\n"
        f"PidFile {directory}/sshd.pid\nStrictModes no\nPermitRootLogin prohibit-password\nUsePAM no\n"
    )
    public = " ".join((directory / "host.pub").read_text().split()[:2])
    (directory / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}\n")
    with running(["sshd", "-D", "-e", "-f", f"{directory}/sshd_config"], directory / "sshd.log"):
        wait_for(lambda: listens(port))
        yield Host.model_validate(
            {
                "address": "127.0.0.1",
                "port": port,
                "user": "root",
                "key": f"{directory}/user",
                "known_hosts": f"{directory}/known_hosts",
                "docker": {"socket": str(docker_socket)},
            }
        )


def load_images(transport: Transport, plain: str, labelled: tuple[str, dict[str, str]]) -> None:
    """The small model server as image, and the same with labels of its own."""
    data = _root_filesystem()
    client = transport.docker()
    changes = ['CMD ["/bin/stub"]']
    _import(client, data, plain, changes)
    name, labels = labelled
    _import(client, data, name, [*changes, *(f'LABEL {key}="{value}"' for key, value in labels.items())])


def _import(client: object, data: bytes, name: str, changes: list[str]) -> None:
    repository, _, tag = name.rpartition(":")
    client.import_image_from_data(data, repository=repository, tag=tag, changes=changes)  # type: ignore[attr-defined]


def _root_filesystem() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        busybox = shutil.which("busybox", path=SBIN)
        assert busybox is not None
        tar.add(Path(busybox).resolve(), "bin/busybox")
        for applet in APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for program in ("stub", "prepare"):
            tar.add(Path(__file__).with_name(f"{program}.sh"), f"bin/{program}", filter=_executable)
        passwd = b"root:x:0:0:root:/:/bin/sh\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(passwd)
        tar.addfile(entry, io.BytesIO(passwd))
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)
    return out.getvalue()


def _executable(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.mode = 0o755
    return info


def local(socket_path: Path) -> LocalTransport:
    return LocalTransport("here", Host.model_validate({"connection": "local", "docker": {"socket": str(socket_path)}}))
