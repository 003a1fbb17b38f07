"""Who is named when a port is taken at the last moment: asked of this machine's own sockets."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployer.engine.context import ApplyContext, Site
from deployer.engine.port_owner import port_owner
from deployer.engine.secret_sources import SourceReader
from deployer.engine.secrets import SecretStore
from deployer.engine.watch import Watch
from tests.support.fakehost import FakeHost

# Listens where there is room, under the name it is told (prctl(2), PR_SET_NAME), and says where.
LISTEN = """
import ctypes, socket, sys
ctypes.CDLL(None).prctl(15, sys.argv[1].encode(), 0, 0, 0)
sock = socket.socket(socket.AF_INET6 if sys.argv[2] == "::1" else socket.AF_INET)
sock.bind((sys.argv[2], 0))
sock.listen()
print(sock.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def site() -> Iterator[Site]:
    if shutil.which("ss") is None:
        pytest.skip("there is no `ss` on this machine")
    host = FakeHost()
    context = ApplyContext("lab", "7f3a", "a1", SecretStore({}, SourceReader(Path("/"), {}), {}))
    yield Site(context, host, Watch("s", "here", "x", lambda event: None))
    host.close()


@contextmanager
def listener(name: str, address: str) -> Iterator[tuple[int, int]]:
    """Its pid and its port."""
    argv = [sys.executable, "-c", LISTEN, name, address]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        port = process.stdout.readline()
        if not port and ":" in address:
            pytest.skip("this machine has no IPv6")
        yield process.pid, int(port)
        process.stdin.close()


@pytest.mark.parametrize(
    ("name", "address", "said"),
    [
        ("nginx", "127.0.0.1", "process `nginx`"),
        ("nginx", "::1", "process `nginx`"),
        ("docker-proxy", "127.0.0.1", "leftover `docker-proxy`"),
        ("a\x1b[31mb", "127.0.0.1", "process `a"),
    ],
)
def test_a_process_is_named_with_its_pid(site: Site, name: str, address: str, said: str) -> None:
    with listener(name, address) as (pid, port):
        owner = port_owner(site, port)
    assert owner is not None
    assert owner.startswith(said)
    assert owner.endswith(f"(pid {pid})")
    assert "\x1b" not in owner


def test_a_port_that_is_free_by_now_has_no_owner(site: Site) -> None:
    with listener("x", "127.0.0.1") as (_, port):
        pass
    assert port_owner(site, port) is None
