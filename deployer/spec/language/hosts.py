"""`hosts`, `groups` and inventories."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from deployer.pattern import pattern
from deployer.spec.language.base import Section, Size, Text, Texts

PROXY = pattern(r"(?:https?|socks[45][ah]?)://[^\s/\"\\]+/?\Z", re.ASCII)


class DockerEndpoint(Section):
    socket: str = "/var/run/docker.sock"


class GpuExpectation(Section):
    count: int | None = Field(None, ge=0)
    model: str | None = None


class GpuSelection(Section):
    """Which GPUs of a host deployer may use: by index, UUID or a part of the model's name."""

    use: tuple[int | str, ...] | None = None
    exclude: tuple[int | str, ...] = ()
    expect: GpuExpectation | None = Field(None, description="what those are; where they differ, no plan can be applied")


class Reserve(Section):
    memory: Size | None = Field(None, description="of the host's own memory: for others than deployer's replicas")
    gpu_memory: Size | None = Field(None, description="of each GPU: for others than deployer's replicas")
    disk: Size | None = Field(None, description="to stay free where weights are fetched to")


class Proxy(Section):
    """What a host fetches through. Images come through the proxy of its Docker daemon; containers are given none."""

    http: str | None = Field(None, description="for http:// sources, as `http://10.0.0.1:3128`")
    https: str | None = Field(None, description="for https:// sources")
    no_proxy: Texts = Field((), description="fetched from directly: names, domains as `.lan`, addresses, networks, `*`")

    @field_validator("http", "https", mode="after")
    @classmethod
    def address(cls, value: str | None) -> str | None:
        if value is not None and (not PROXY.match(value) or not value.isprintable()):
            raise ValueError("a proxy is written as `http://10.0.0.1:3128`")
        return value

    @field_validator("no_proxy", mode="after")
    @classmethod
    def plain(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            if not entry.isascii() or not entry.isprintable() or not entry or set(entry) & set(' ,"\\'):
                raise ValueError(f"`{entry}` is no name, address or network")
        return value


class Host(Section):
    """How a host is reached and what of it may be used."""

    address: str | None = Field(None, description="IP, DNS name or alias of ~/.ssh/config; default: the host's name")
    user: Text | None = None
    port: int | None = Field(None, ge=1, le=65535, description="SSH port")
    key: str | None = Field(None, description="private key file; ~ is the controller's home")
    jump: Texts = Field((), description="jump hosts, as ssh's -J: [user@]host[:port]")
    known_hosts: str | None = Field(None, description="known_hosts file; default: ssh's own")
    connection: Literal["ssh", "local", "openssh"] = "ssh"
    become: Literal["sudo"] | None = Field(None, description="reach Docker and the cache through `sudo -n`")
    docker: DockerEndpoint = DockerEndpoint.usual()
    labels: dict[str, Text] = Field(default_factory=dict)
    vars: dict[str, Text] = Field(default_factory=dict)
    gpus: GpuSelection = GpuSelection.usual()
    cache_dir: str = "/var/lib/deployer/cache"
    fetch: Literal["host", "controller"] = Field(
        "host", description="who gets weights from their sources: the host, or deployer, which brings them to it"
    )
    peers: bool = Field(True, description="may get weights from the project's other hosts, and serve them its own")
    model_dirs: Texts = Field(
        (),
        description="folders with models that are there already: used in place, read-only; ~ is the host user's home",
    )
    reserve: Reserve | None = None
    ports: Annotated[str, Field(pattern=r"^\d{1,5}-\d{1,5}$", description="host ports deployer may pick")] = (
        "20000-31999"
    )
    state: Literal["active", "drain", "maintenance", "lost"] = "active"
    proxy: Proxy | None = None

    @field_validator("cache_dir", mode="after")
    @classmethod
    def absolute(cls, value: str) -> str:
        if not value.startswith("/"):
            raise ValueError(f"`{value}` is not absolute; write it as `/srv/hf`")
        return value

    @field_validator("model_dirs", mode="after")
    @classmethod
    def findable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for path in value:
            if not path.startswith(("/", "~/")) or not path.isprintable():
                raise ValueError(f"`{path}` is not absolute; write it as `/data/models` or `~/.cache/huggingface/hub`")
        return value

    @field_validator("ports", mode="after")
    @classmethod
    def ordered(cls, value: str) -> str:
        first, last = map(int, value.split("-"))
        if not 1 <= first <= last <= 65535:
            raise ValueError(f"`{value}` is not a range of ports, as `20000-31999`")
        return value

    @property
    def kept_gpu_memory(self) -> int:
        """Bytes of each GPU."""
        return (self.reserve.gpu_memory or 0) if self.reserve is not None else 0

    @property
    def kept_memory(self) -> int:
        """Bytes of the host's own."""
        return (self.reserve.memory or 0) if self.reserve is not None else 0

    @property
    def port_range(self) -> range:
        first, last = map(int, self.ports.split("-"))
        return range(first, last + 1)


class Group(Section):
    """Hosts by name; `defaults` stand under each of them. A plain list is short for `{hosts: [...]}`."""

    hosts: Texts = ()
    defaults: dict[str, Any] = Field(default_factory=dict, description="any host key")


def short_group(value: object) -> object:
    return {"hosts": value} if isinstance(value, list | tuple) else value


class Inventory(Section):
    """An inventory file; its keys may also stand in deploy.yaml, where they win key by key."""

    version: Literal[1] = 1
    hosts: dict[str, Host] = Field(default_factory=dict)
    groups: dict[str, Annotated[Group, BeforeValidator(short_group)]] = Field(default_factory=dict)
