"""`container`: the options of `docker run`, all of them reachable."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from deployer.spec.language.base import Duration, Section, Size, Text, Texts


def parse_mode(value: object) -> int:
    """File permissions from octal text; a bare number is refused, since `755` would mean 01363."""
    if not isinstance(value, str) or not re.fullmatch(r"0?[0-7]{3,4}", value):
        raise ValueError('permissions are written as text in octal, such as `"0755"`')
    return int(value, 8)


Mode = Annotated[int, BeforeValidator(parse_mode), WithJsonSchema({"type": "string", "pattern": "^0?[0-7]{3,4}$"})]


class UlimitRange(Section):
    soft: int
    hard: int


class HealthcheckOptions(Section):
    test: Texts = ()
    interval: Duration | None = None
    timeout: Duration | None = None
    start_period: Duration | None = None
    retries: int | None = Field(None, ge=1)


class LogOptions(Section):
    driver: str = "json-file"
    max_size: Text = "100m"
    max_file: int = Field(3, ge=1)
    options: dict[str, Text] = Field(default_factory=dict)


class ShippedFileOptions(Section):
    """A file of the controller; `{path: ./start.sh}`, short for it the path alone, or `{content: ...}`."""

    path: str | None = None
    content: str | None = None
    mode: Mode = Field(0o644, description='as text in octal: "0755"')
    uid: int = Field(0, ge=0)
    gid: int = Field(0, ge=0)

    @model_validator(mode="after")
    def one_content(self) -> Self:
        if (self.path is None) == (self.content is None):
            raise ValueError("a file has exactly one of `path` and `content`")
        return self


class SecretFileOptions(Section):
    secret: str
    mode: Mode = 0o600
    uid: int = Field(0, ge=0)
    gid: int = Field(0, ge=0)


def short_file(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


def short_secret_file(value: object) -> object:
    return {"secret": value} if isinstance(value, str) else value


class Container(Section):
    """Docker's own options; what is absent is decided by the backend, or left to Docker."""

    shm_size: Size | None = None
    runtime: str | None = None
    user: Text | None = None
    group_add: Texts = ()
    network: str = "bridge"
    network_aliases: Texts = ()
    hostname: str | None = None
    ipc: str | None = None
    pid: str | None = None
    uts: str | None = None
    volumes: Texts = Field((), description="SOURCE:TARGET[:ro], as docker run -v; appended to with `volumes+`")
    tmpfs: dict[str, Text] = Field(default_factory=dict)
    files: dict[str, Annotated[ShippedFileOptions, BeforeValidator(short_file)]] = Field(default_factory=dict)
    secret_files: dict[str, Annotated[SecretFileOptions, BeforeValidator(short_secret_file)]] = Field(
        default_factory=dict
    )
    command: tuple[Text, ...] | None = None
    entrypoint: Texts | None = None
    working_dir: str | None = None
    devices: Texts = ()
    cap_add: Texts = ()
    cap_drop: Texts = ()
    security_opt: Texts = ()
    privileged: bool = False
    read_only: bool = False
    init: bool = False
    sysctls: dict[str, Text] = Field(default_factory=dict)
    ulimits: dict[str, int | UlimitRange] = Field(default_factory=dict)
    memory: Size | None = None
    memory_swap: Size | Literal[-1] | None = None
    cpus: float | None = Field(None, gt=0)
    cpuset_cpus: Text | None = None
    cpuset_mems: Text | None = None
    pids_limit: int | None = None
    oom_score_adj: int | None = Field(None, ge=-1000, le=1000)
    dns: Texts = ()
    extra_hosts: Texts = ()
    labels: dict[str, Text] = Field(default_factory=dict)
    stop_grace: Duration | None = None
    stop_signal: str | None = None
    healthcheck: HealthcheckOptions | Literal["none"] | None = None
    log: LogOptions = LogOptions.usual()
    restart: Annotated[
        Literal["always", "no", "on-failure", "unless-stopped"],
        BeforeValidator(lambda v: "no" if v is False else v),
        WithJsonSchema({"enum": ["always", "no", "on-failure", "unless-stopped", False]}),
    ] = "always"
    extra: dict[str, Any] = Field(
        default_factory=dict, description="anything else of the Docker API's container create body"
    )
