"""The Docker SDK on a host's own streams. Nothing of the controller's Docker configuration gets in."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import docker

    from deployer.transport.engine import EngineDoor


def import_sdk() -> None:
    """Ahead of its first use, while hosts are waited for."""
    import deployer.transport.sdkclient  # noqa: F401


class SdkClient:
    """One client per host, made at the first use: importing the SDK takes half a second."""

    def __init__(self, door: EngineDoor) -> None:
        self._door = door
        self._lock = threading.Lock()
        self._client: Any = None

    def client(self) -> docker.APIClient:
        with self._lock:
            if self._client is None:
                from deployer.transport.sdkclient import open_client

                self._client = open_client(self._door)
            return self._client

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()
        self._door.close()
