"""A private Docker engine without a network: for what only a real one can say about a container's create body."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def why_not() -> str | None:
    missing = [tool for tool in ("dockerd", "docker", "containerd") if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} is not installed"
    return None if os.geteuid() == 0 else "a private dockerd needs root"


def skip_or_fail(reason: str) -> None:
    """A skip that nobody overlooks: in CI it is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must run this: {reason}")
    pytest.skip(reason)


@contextmanager
def private_dockerd() -> Iterator[str]:
    """The address of an engine of our own, as DOCKER_HOST has it."""
    reason = why_not()
    if reason is not None:
        skip_or_fail(reason)
    home = Path(tempfile.mkdtemp(prefix="dockerd-"))  # short: a socket's path has at most 107 bytes
    address = f"unix://{home}/docker.sock"
    (home / "daemon.json").write_text(json.dumps({"runtimes": {"nvidia": {"path": shutil.which("runc") or "runc"}}}))
    argv = [
        *("unshare", "--net"),  # `--bridge none` removes the `docker0` of its network namespace: not this machine's
        *("dockerd", "--config-file", str(home / "daemon.json"), "--host", address, "--pidfile", str(home / "pid")),
        *("--data-root", str(home / "data"), "--exec-root", str(home / "exec"), "--storage-driver", "vfs"),
        *("--bridge", "none", "--iptables=false", "--ip6tables=false"),
    ]
    with (home / "log").open("wb") as log:
        daemon = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
    try:
        _await(daemon, address, home / "log")
        yield address
    finally:
        daemon.terminate()
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait(10)
        shutil.rmtree(home, ignore_errors=True)


def _await(daemon: subprocess.Popen[bytes], address: str, log: Path) -> None:
    for _ in range(300):
        asked = subprocess.run(["docker", "-H", address, "version"], capture_output=True, timeout=30, check=False)
        if asked.returncode == 0:
            return
        if daemon.poll() is not None:
            break
        time.sleep(0.1)
    skip_or_fail("dockerd does not start here: " + log.read_text(errors="replace")[-500:])
