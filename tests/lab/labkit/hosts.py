"""Lab: the hosts a test session runs on, their faults, and what is on them. Nothing in here knows the deployer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).resolve().parent.parent / "lab"
REPOSITORY = SCRIPT.parent.parent.parent
OPEN_PORT, PRIVATE_PORT = 5000, 5001
LLAMA = "registry.lab:5000/ggml-org/llama.cpp:server"
PRIVATE_LLAMA = "registry.lab:5001/ggml-org/llama.cpp:server"
STAND_IN = "registry.lab:5000/lab/stand-in:1"
LABELLED = "registry.lab:5000/lab/labelled:1"
BUSYBOX = "busybox:1"
REMEDIES = {
    "kill-docker": "start-docker",
    "stop-docker": "start-docker",
    "kill-ssh": "start-ssh",
    "power-off": "power-on",
}
RESET = """
docker ps -aq --no-trunc | xargs -r docker rm -f -v >/dev/null 2>&1
docker network ls -q --filter type=custom | xargs -r docker network rm >/dev/null 2>&1
rm -rf /var/lib/deployer /srv/scratch /srv/.fill /root/.docker /home/*/.docker
test ! -f /etc/lab-gpus.first || mv /etc/lab-gpus.first /etc/lab-gpus.json
"""


@dataclass(frozen=True, slots=True)
class Lab:
    """Hosts are named lab1, lab2, ...; all calls run as root inside them, not through ssh."""

    prefix: str
    network: str  # first three numbers of its addresses
    count: int
    shares: tuple[str, ...] = ()  # more folders of this machine that its hosts see, read-only

    @property
    def directory(self) -> Path:
        return Path("/var/lib/deployer-lab") / self.prefix

    @property
    def ssh_config(self) -> Path:
        return self.directory / "ssh_config"

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(f"lab{k}" for k in range(1, self.count + 1))

    def address(self, host: str) -> str:
        return f"{self.network}.{10 + number(host)}"

    def script(self, *arguments: str, stdin: bytes = b"", timeout: float = 120, check: bool = True) -> str:
        """Runs the lab script; stdout. Raises LabError with what it said where it fails."""
        done = subprocess.run(
            [SCRIPT, *arguments], input=stdin, capture_output=True, timeout=timeout, env=self.environment(), check=False
        )
        if check and done.returncode:
            raise LabError(arguments, done.returncode, (done.stdout + done.stderr).decode(errors="replace"))
        return done.stdout.decode(errors="replace")

    def environment(self) -> dict[str, str]:
        """What makes the lab script mean this lab; its hosts see the program under test, read-only."""
        shared = dict.fromkeys((str(REPOSITORY), sys.prefix, sys.base_prefix, *self.shares))
        return os.environ | {
            "LAB_PREFIX": self.prefix,
            "LAB_NET": self.network,
            "LAB_DIR": str(self.directory),
            "LAB_SHARE": ":".join(p for p in shared if not p.startswith("/usr")),
        }

    def up(self, timeout: float = 120) -> None:
        self.script("up", str(self.count), timeout=timeout)

    def down(self, timeout: float = 120) -> None:
        self.script("down", timeout=timeout)

    def run(self, host: str, *argv: str, stdin: bytes = b"", check: bool = True) -> str:
        return self.script("exec", str(number(host)), *argv, stdin=stdin, check=check)

    def sh(self, host: str, command: str, check: bool = True) -> str:
        return self.run(host, "sh", "-c", command, check=check)

    # --- what is on a host -----------------------------------------------------

    def put(self, host: str, path: str, content: bytes | Path) -> None:
        """A file, or a folder of this machine, at `path` on the host."""
        self.run(host, "mkdir", "-p", str(Path(path).parent))
        if isinstance(content, Path) and content.is_dir():
            tar = subprocess.run(["tar", "-C", content, "-c", "."], capture_output=True, check=True).stdout
            self.run(host, "mkdir", "-p", path)
            self.run(host, "tar", "-C", path, "-x", stdin=tar)
        else:
            data = content.read_bytes() if isinstance(content, Path) else content
            self.run(host, "sh", "-c", 'cat > "$0"', path, stdin=data)

    def containers(self, host: str) -> list[dict[str, Any]]:
        """`docker inspect` of every container of the host, running or not, by name."""
        ids = self.run(host, "docker", "ps", "-aq").split()
        found: list[dict[str, Any]] = json.loads(self.run(host, "docker", "inspect", *ids)) if ids else []
        return sorted(found, key=lambda c: str(c["Name"]))

    def names(self, *hosts: str) -> list[str]:
        """Names of all containers, of all hosts when none is given."""
        return [c["Name"].lstrip("/") for h in hosts or self.hosts for c in self.containers(h)]

    def running(self, *hosts: str) -> list[str]:
        """As `names`, without those that are stopped (a service's predecessor is kept)."""
        found = [c for h in hosts or self.hosts for c in self.containers(h)]
        return [c["Name"].lstrip("/") for c in found if c["State"]["Running"]]

    def inspect(self, host: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run(host, "docker", "inspect", name))[0]
        return found

    def clock(self, host: str) -> str:
        return self.run(host, "date", "+%s.%N").strip()

    def docker_events(self, host: str, since: str) -> list[str]:
        """What dockerd did since then, but for the health checks' own exec events."""
        now = self.clock(host)
        lines = self.run(
            host, "docker", "events", "--since", since, "--until", now, "--format", "{{.Type}} {{.Action}}"
        )
        return [line for line in lines.splitlines() if " exec_" not in line and " health_status" not in line]

    def gpu_uuids(self, host: str) -> list[str]:
        return self.run(host, "nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader").split()

    def request(self, host: str, url: str, body: object = None, key: str | None = None) -> tuple[int, str]:
        """Status and text of an HTTP request made on the host itself."""
        argv = ["curl", "-sS", "-m", "60", "-w", "\n%{http_code}", url]
        if key:
            argv += ["-H", f"Authorization: Bearer {key}"]
        if body is not None:
            argv += ["-H", "Content-Type: application/json", "--data-binary", json.dumps(body)]
        text, _, status = self.run(host, *argv).rpartition("\n")
        return int(status), text

    def files_of_deployer(self, host: str) -> list[str]:
        """Everything under /var/lib/deployer but the cache."""
        found = self.sh(host, "find /var/lib/deployer -not -path '*/cache*' -not -type d 2>/dev/null || true")
        return sorted(found.split("\n"))[1:] if found else []

    # --- faults ----------------------------------------------------------------

    def fault(self, name: str, host: str, *arguments: str) -> None:
        """One of the lab script's: cut, hide, heal, slow, kill-docker, start-docker, kill-ssh, start-ssh, ..."""
        self.script(name, str(number(host)), *arguments)

    @contextmanager
    def broken(self, fault: str, host: str, *arguments: str) -> Iterator[None]:
        """The fault while the block runs."""
        self.fault(fault, host, *arguments)
        try:
            yield
        finally:
            self.fault(REMEDIES.get(fault, "heal"), host)
            self.up()

    def reset(self) -> None:
        """No container, no deployer's file, no scratch file on any host of this lab."""
        with ThreadPoolExecutor(self.count) as workers:
            list(workers.map(lambda host: self.sh(host, RESET, check=False), self.hosts))

    def ssh_config_for(self, target: Path, **options: str) -> Path:
        """A copy of the ssh config where `options` (User, ProxyJump, UserKnownHostsFile, ...) win for every host."""
        lines = "".join(f"  {name} {value}\n" for name, value in options.items())
        target.write_text(f"Host lab*\n{lines}{self.ssh_config.read_text()}")
        return target


class LabError(Exception):
    def __init__(self, arguments: Sequence[str], code: int, said: str) -> None:
        super().__init__(f"lab {' '.join(arguments[:6])}: exit {code}\n{said[-4000:]}")


def number(host: str) -> int:
    return int(host.removeprefix("lab"))
