"""`services`, `profiles`: what must answer, on which backend, where, and how it is changed."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from deployer.spec.language.base import Duration, NotYet, Section, Text, TextOrSecret, Texts, parse_size, parse_text
from deployer.spec.language.container import Container
from deployer.spec.language.models import Category
from deployer.spec.language.options import Options

PATH_OR_NONE = r"^(/\S*|none)$"


class Port(Section):
    """`number` is the host's port; absent: the first free one of the host's `ports`, then kept."""

    number: int | None = Field(None, ge=1, le=65535)
    bind: str = "127.0.0.1"
    on_conflict: Literal["fail", "next"] = "fail"
    container: int | None = Field(None, ge=1, le=65535, description="where the backend's own port isn't meant")


class GpuFilter(Section):
    """Which GPUs are good enough: part of the model's name, `>=40GiB`, `>=8.9`."""

    model: str | None = None
    memory: str | None = Field(None, pattern=r"^(>=)?\s*\d+(\.\d+)?\s*([kKmMgGtT]i?[bB]?)?$")
    cc: Text | None = Field(None, pattern=r"^(>=)?\s*\d+\.\d+$")

    @property
    def least_memory(self) -> int | None:
        """Bytes."""
        return parse_size(self.memory.removeprefix(">=").strip()) if self.memory is not None else None

    @property
    def least_cc(self) -> str | None:
        return self.cc.removeprefix(">=").strip() if self.cc is not None else None


class Placement(Section):
    hosts: dict[str, Text] | Texts | None = Field(
        None, description="a label selector, or host and group names; default: every host"
    )
    strategy: Literal["spread", "binpack"] = "spread"
    gpus: Literal["auto", "none"] | int | tuple[str, ...] | tuple[tuple[str, ...], ...] = "auto"
    gpu: GpuFilter | None = None
    share: bool = Field(
        False,
        description="may be on GPUs with others that share; `gpu_memory` or `gpu_memory_fraction` says how much",
    )
    max_per_host: int | None = Field(None, ge=1)
    distributed: Annotated[bool, NotYet("keep a replica on one host")] = False

    @field_validator("gpus", mode="after")
    @classmethod
    def not_negative(cls, value: Any) -> Any:
        if isinstance(value, int) and value < 0:
            raise ValueError("a count of GPUs is 0 or more")
        return value


class ProbeRequest(Section):
    prompt: str | None = None
    expect: str | None = Field(None, description="regular expression that the answer must contain")


class Health(Section):
    ready_timeout: Duration | None = Field(None, description="default by backend")
    stall_timeout: Duration | None = Field(None, description="without a sign of loading; default by backend")
    probe: Literal["auto", "none"] | ProbeRequest = "auto"


class ApiPaths(Section):
    """Where the server is asked, where that isn't the backend's usual path; `none`: it has no such thing."""

    health: str | None = Field(None, pattern=r"^/\S*$", description="answers 2xx once requests are served")
    models: str | None = Field(None, pattern=PATH_OR_NONE, description="lists the models, as OpenAI's does")
    chat: str | None = Field(None, pattern=PATH_OR_NONE)
    completions: str | None = Field(None, pattern=PATH_OR_NONE)
    embeddings: str | None = Field(None, pattern=PATH_OR_NONE)
    rerank: str | None = Field(None, pattern=PATH_OR_NONE)
    speech: str | None = Field(None, pattern=PATH_OR_NONE)
    transcriptions: str | None = Field(None, pattern=PATH_OR_NONE)
    images: str | None = Field(None, pattern=PATH_OR_NONE)


class Rollout(Section):
    strategy: Annotated[
        Literal["rolling", "recreate", "canary"],
        Field(description="canary: one replica first, the rest once it has answered"),
    ] = "rolling"
    max_unavailable: int = Field(1, ge=0)
    max_downtime: Duration | None = Field(None, description="`apply -y` refuses a plan that is down for longer")
    on_failure: Literal["rollback", "stop"] = "rollback"
    keep_revisions: int = Field(1, ge=0)


class RestartBackoff(Section):
    max_delay: Duration = Field(300.0, description="most that `watch` waits between two attempts at a replica")


class Nim(Section):
    profile: Text = Field("auto", description="auto, or the id or name of one of the image's profiles")
    goal: Literal["latency", "throughput", "balanced"] = Field(
        "latency", description="of profiles that suit the GPUs equally well, the one that was made for this"
    )


class ServedModel(Section):
    """One of a service's models; what it leaves out is as the service says."""

    model: str
    served_name: Texts = ()
    options: Options = Options.usual()
    args: Texts = Field((), description="of this model alone, as the backend's own program takes them")
    category: Category | None = Field(None, description="beats the model's")


class Image(Section):
    """The name of an image, for short; with `archive`, a file on the controller that it is loaded from: a tar as
    `docker save` writes it, or an OCI layout."""

    name: Text
    archive: str | None = Field(None, description="a tar of `docker save`, or an OCI layout, beside the spec")

    def __str__(self) -> str:
        return self.name


def short_image(value: object) -> object:
    return {"name": parse_text(value)} if isinstance(value, str | int | float) else value


class Override(Section):
    """Settings of a service on hosts whose GPUs are all of one kind. What decides how many GPUs a replica gets, and
    where it goes, cannot differ."""

    gpu: GpuFilter
    version: Text | None = None
    image: Annotated[Image, BeforeValidator(short_image)] | None = None
    options: Options = Options.usual()
    args: Texts = Field((), description="appended to with `args+`")
    env: dict[str, TextOrSecret] = Field(default_factory=dict)
    container: Container = Container.usual()

    @field_validator("options", mode="after")
    @classmethod
    def same_size(cls, value: Options) -> Options:
        for name in ("tensor_parallel", "pipeline_parallel", "data_parallel"):
            if getattr(value, name) is not None:
                raise ValueError(f"`{name}` cannot be overridden: it decides how many GPUs a replica gets")
        return value


def short_port(value: object) -> object:
    return {"number": value} if isinstance(value, int) and not isinstance(value, bool) else value


class Service(Section):
    """One service, after profiles and defaults were merged into it."""

    model: str | None = None
    models: tuple[ServedModel, ...] = Field((), description="for backends that serve several at once")
    backend: str | None = None
    version: Text | None = None
    image: Annotated[Image, BeforeValidator(short_image)] | None = None
    profiles: Texts = ()
    served_name: Texts = ()
    replicas: int = Field(1, ge=0)
    state: Literal["running", "stopped"] = "running"
    protect: bool = False
    options: Options = Options.usual()
    args: Texts = Field((), description="appended to with `args+`")
    env: dict[str, TextOrSecret] = Field(default_factory=dict)
    container: Container = Container.usual()
    placement: Placement = Placement.usual()
    overrides: tuple[Override, ...] = ()
    port: Annotated[Port, BeforeValidator(short_port)] = Port.usual()
    replaces: Texts = ()  # HOST:CONTAINER
    api: ApiPaths = ApiPaths.usual()
    health: Health = Health.usual()
    rollout: Rollout = Rollout.usual()
    restart_backoff: RestartBackoff = RestartBackoff.usual()
    nim: Nim | None = None

    @model_validator(mode="after")
    def has_a_model(self) -> Self:
        if self.model is not None and self.models:
            raise ValueError("`model` and `models` exclude each other")
        if self.models and self.served_name:
            raise ValueError("`served_name` is for one `model`; give each of `models` its own")
        return self

    def each(self) -> tuple[Self, ...]:
        """The service as it would be with each of its models alone; itself where it has one."""
        return tuple(self._alone(served) for served in self.models) or (self,)

    def _alone(self, served: ServedModel) -> Self:
        own = {name: value for name, value in served.options if value is not None}
        options = self.options.model_copy(update=own) if own else self.options
        update = {"model": served.model, "models": (), "served_name": served.served_name, "options": options}
        return self.model_copy(update=update)
