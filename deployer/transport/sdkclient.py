"""docker.APIClient over an EngineDoor: the SDK's adapters, with our streams for sockets. Imported late (heavy)."""

from __future__ import annotations

import http.client
import json
import queue
from typing import Any

import docker
import docker.auth
import urllib3
import urllib3.connection
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.transport.basehttpadapter import BaseHTTPAdapter
from docker.utils.proxy import ProxyConfig

from deployer.errors import Diagnostic, DockerError
from deployer.transport.engine import TIMEOUT, EngineDoor

POOLED = 10
POOLED_DIALS = 2  # each holds one of sshd's few sessions
ANSWER_LIMIT = 65536
OLDEST = "1.41"  # Docker Engine 20.10


class EngineConnection(urllib3.connection.HTTPConnection):
    def __init__(self, door: EngineDoor) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._door = door

    def connect(self) -> None:
        timeout = self.timeout if isinstance(self.timeout, int | float) else None
        stream: Any = self._door.open(timeout)
        stream.settimeout(timeout)
        self.sock = stream

    @property
    def is_ended(self) -> bool:
        stream: Any = self.sock
        return stream is not None and bool(stream.hung_up())


class EnginePool(urllib3.HTTPConnectionPool):
    def __init__(self, door: EngineDoor) -> None:
        super().__init__("localhost", timeout=TIMEOUT, maxsize=POOLED_DIALS if door.dials else POOLED)
        self._door = door

    def _new_conn(self) -> Any:
        return EngineConnection(self._door)

    def _get_conn(self, timeout: float | None = None) -> Any:
        # As the SDK's own SSH pool: urllib3 would select() on every reused connection, which costs a channel two
        # file descriptors.
        try:
            connection = self.pool.get(block=False) if self.pool is not None else None
        except queue.Empty:
            connection = None
        if connection is not None and connection.is_ended:
            connection.close()
        return connection or self._new_conn()


class EngineAdapter(BaseHTTPAdapter):  # type: ignore[misc]
    def __init__(self, door: EngineDoor) -> None:
        self._pool = EnginePool(door)
        super().__init__()

    def get_connection(self, url: str, proxies: Any = None) -> Any:
        return self._pool

    def request_url(self, request: Any, proxies: Any) -> Any:
        return request.path_url

    def close(self) -> None:
        super().close()
        self._pool.close()


def open_client(door: EngineDoor) -> docker.APIClient:
    """A client that speaks the newest API version both sides know."""
    client = docker.APIClient(base_url="unix://deployer", version=common_version(door), timeout=TIMEOUT)
    client.trust_env = False  # no ~/.netrc, no proxies
    client._general_configs = {}
    client._auth_configs = docker.auth.AuthConfig({})
    client._proxy_configs = ProxyConfig()
    adapter = EngineAdapter(door)
    client._custom_adapter = adapter
    client.mount("http+docker://", adapter)
    return client


def common_version(door: EngineDoor) -> str:
    """The newest that both sides know; where the engine no longer speaks the SDK's newest, the engine's oldest."""
    connection = door.connection()
    try:
        newest, oldest = spoken(connection)
    except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException) as error:
        raise door.odd_answer(error) from error
    finally:
        connection.close()
    if version_key(newest) < version_key(OLDEST):
        raise DockerError(
            Diagnostic(
                "docker-too-old",
                f"host `{door.host}`: its Docker speaks API {newest}, {OLDEST} is the least",
                host=door.host,
                hint="upgrade Docker Engine on the host",
            )
        )
    wanted: str = min(newest, DEFAULT_DOCKER_API_VERSION, key=version_key)
    return max(wanted, oldest, key=version_key)


def spoken(connection: http.client.HTTPConnection) -> tuple[str, str]:
    """The newest and the oldest version of the engine's API; OLDEST where it still speaks what we do.

    The head of each answer says the newest, and an older path than the oldest is refused (moby: VersionMiddleware).
    `/version` says both, and starts programs on the host.
    """
    ours = DEFAULT_DOCKER_API_VERSION
    newest = asked(connection, "/_ping").headers.get("Api-Version", "")
    is_newer = version_key(newest) > version_key(ours)
    if version_key(newest) and (not is_newer or asked(connection, f"/v{ours}/_ping").status == 200):
        return newest, OLDEST
    connection.request("GET", "/version")
    said = json.loads(connection.getresponse().read(ANSWER_LIMIT))
    return str(said["ApiVersion"]), str(said.get("MinAPIVersion", OLDEST))


def asked(connection: http.client.HTTPConnection, path: str) -> http.client.HTTPResponse:
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read(ANSWER_LIMIT)
    return answer


def version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
