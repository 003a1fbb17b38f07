"""What a backend is: one declarative value and one template. Nothing here knows a particular backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Flag:
    """Option -> `FLAG VALUE`."""

    name: str


@dataclass(frozen=True, slots=True)
class Switch:
    """Boolean option -> `on` when true, `off` when false; None: nothing is said."""

    on: str | None
    off: str | None = None


@dataclass(frozen=True, slots=True)
class InTemplate:
    """The template itself turns the option into arguments or environment."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The backend cannot do it; the reason completes the sentence `OPTION: ...`."""

    reason: str


OptionMapping = Flag | Switch | InTemplate | Refused


@dataclass(frozen=True, slots=True)
class Images:
    """Where a backend's image comes from. A tag may hold `{version}`.

    `gpu` is used for replicas with GPUs, `cpu` for those without; None: there is no such image.
    `gpu_unversioned`/`cpu_unversioned` are the tags for a spec that names no version.
    """

    repository: str
    gpu: str | None
    cpu: str | None = None
    cpu_repository: str | None = None


@dataclass(frozen=True, slots=True)
class Api:
    """HTTP paths of the server; None: the backend has no such thing."""

    health: str
    models: str | None = "/v1/models"
    chat: str | None = "/v1/chat/completions"
    completions: str | None = "/v1/completions"
    embeddings: str | None = "/v1/embeddings"
    rerank: str | None = None


@dataclass(frozen=True, slots=True)
class Backend:
    name: str
    title: str
    images: Images
    version: str  # the default of this edition of the language
    port: int  # the server's own, inside the container
    api: Api
    template: str  # file under templates/
    options: Mapping[str, OptionMapping]  # every name of spec.language.options.OPTION_NAMES
    formats: tuple[Literal["gguf", "safetensors"], ...]
    categories: tuple[str, ...]
    gpu: Literal["required", "optional", "never"]
    ready_timeout: float  # seconds
    source: str  # where the facts come from
    aliases: tuple[str, ...] = ()
    api_key_env: str | None = None  # environment variable the server reads its key from; None: it has no key
    api_key_file_flag: str | None = None  # flag naming a file of keys, where several keys are wanted
    default_context: int | None = None
    shm_size_multi_gpu: int | None = None  # bytes, when a replica has several GPUs
    stop_grace: float = 30.0  # seconds
    caches: Mapping[str, str] = field(default_factory=dict)  # name -> path in the container, read-write per service
    env: Mapping[str, str] = field(default_factory=dict)  # always set; offline mode belongs here
