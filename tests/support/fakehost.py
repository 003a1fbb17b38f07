"""A host in memory: a fake Docker engine, and this machine's own shell with its state directory moved aside.

Everything of deployer above the engine's socket is the real thing. What the fake engine does is kept honest by
tests/contract/operations, which run against it and against a real dockerd.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from deployer.spec.language import Host
from deployer.transport.base import Completed
from deployer.transport.local import LocalTransport
from deployer.values.names import STATE_DIR
from tests.support.fakeengine import FakeEngine
from tests.support.fakehttp import EngineServer


class FakeHost(LocalTransport):
    """A Transport. Paths under STATE_DIR in commands mean a temporary directory."""

    def __init__(self, name: str = "here", gpus: tuple[str, ...] = ()) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="fakehost")
        self.root = Path(self._directory.name)
        socket = self.root / "docker.sock"
        super().__init__(name, Host.model_validate({"connection": "local", "docker": {"socket": str(socket)}}))
        self.engine_state = FakeEngine(gpus)
        self._server = EngineServer(socket, self.engine_state)

    @property
    def state_dir(self) -> Path:
        return self.root / "state"

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Completed:
        moved = [word.replace(STATE_DIR, str(self.state_dir)) if word.startswith(STATE_DIR) else word for word in argv]
        script = (
            stdin.replace(f" {STATE_DIR}".encode(), f" {self.state_dir}".encode()) if argv == ["sh", "-s"] else stdin
        )
        return super().run(moved, stdin=script, timeout=timeout)

    def close(self) -> None:
        super().close()
        self.engine_state.close()
        self._server.end()
        self._directory.cleanup()


class CutOff(FakeHost):
    """A host whose connection dies before the last byte of what commands read: to them that is its end."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Completed:
        return super().run(argv, stdin=stdin[:-1], timeout=timeout)
