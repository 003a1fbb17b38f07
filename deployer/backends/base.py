"""What a backend is: one declarative value and one template. Nothing here knows a particular backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from deployer.dataclass import dataclass

FILES = ("file", "hf", "modelscope", "https", "local")  # schemes of models that a backend is given as files


@dataclass(frozen=True, slots=True)
class Flag:
    """Option -> `NAME VALUE`, and the same for each of `more`. `aliases`: what people may write for `NAME`.

    `values` translates text: None says nothing, and a word that is not in it is refused. Numbers stay as they are.
    """

    name: str
    more: tuple[str, ...] = ()
    values: Mapping[str, str | None] | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Switch:
    """Boolean option -> `on` when true (or a number above 1), `off` otherwise; None: nothing is said."""

    on: str | None
    off: str | None = None


@dataclass(frozen=True, slots=True)
class InTemplate:
    """The template itself turns the option into arguments or environment. `values` as in Flag.

    `needs` are the flags without which a version cannot do it, `excludes` those that may not stand in `args` beside it.
    `per_model`: each of a service's models can have its own. `categories`: of the models that it is for; None: of all.
    `flags`: by which the server is told it. `shared_by`: they name what this other option divides.
    """

    values: Mapping[str, str | None] | None = None
    needs: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    per_model: bool = False
    categories: tuple[str, ...] | None = None
    flags: tuple[str, ...] = ()
    shared_by: str | None = None


@dataclass(frozen=True, slots=True)
class SecretEnv:
    """A secret goes by an environment variable; several of them, one a line, in a 0600 file that `file_flag` names."""

    variable: str
    file_flag: str | None = None  # None: the backend takes one only


@dataclass(frozen=True, slots=True)
class SecretConfig:
    """A secret goes in a 0600 file of the backend's own configuration, which `flag` names.

    `content` is what the file holds; `{secret}` in it stands for the secret as a JSON text, which YAML reads too.
    """

    flag: str
    path: str
    content: str


@dataclass(frozen=True, slots=True)
class SecretByHand:
    """Only the spec knows how the server takes it: it is refused unless `env` or a secret file brings it too."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The backend cannot do it, except for the values that ask for what it does anyway."""

    reason: str
    unless: tuple[object, ...] = ()


OptionMapping = Flag | Switch | InTemplate | SecretEnv | SecretConfig | SecretByHand | Refused


@dataclass(frozen=True, slots=True)
class FlagRange:
    """Which versions have a flag: from `since` on, before `gone`; `instead`: what to write where it is gone.

    Where not every release was looked into, `after` is the last one without the flag: what comes after it may have it.
    """

    since: str | None = None
    gone: str | None = None
    instead: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Images:
    """Where a backend's image comes from.

    `gpu` is the tag for replicas with GPUs, `cpu` for those without; `{number}` stands for the version without the
    letter it may begin with. A version that is not a number, such as `nightly`, is the tag itself; one that goes on
    after its number, as in `0.16.0-cu13`, takes the place of what the pattern has there. None: there is no such image.
    The unversioned tags are for a backend whose default names no version. `others` are patterns of tags that are never
    chosen, but tell a version. `of_model`: the repository of a model that has an image of its own, `{model}` being what
    follows the scheme. `family`: what begins with it is tagged by version too. `instead`: what to do where there is no
    image.
    """

    repository: str | None
    gpu: str | None
    cpu: str | None = None
    cpu_repository: str | None = None
    gpu_unversioned: str | None = None
    cpu_unversioned: str | None = None
    others: tuple[str, ...] = ()
    of_model: str | None = None
    family: str | None = None
    instead: str = "name one with the service's `image`"


@dataclass(frozen=True, slots=True)
class Api:
    """HTTP paths of the server; None: the backend has no such thing.

    `health` answers 2xx once a request can be served, and something else or nothing before. `documents` is the field
    of a rerank request that holds the texts to order, `voice` one that a request for speech may name.
    """

    health: str
    models: str | None = "/v1/models"
    chat: str | None = "/v1/chat/completions"
    completions: str | None = "/v1/completions"
    embeddings: str | None = "/v1/embeddings"
    rerank: str | None = None
    speech: str | None = None
    voices: str | None = None  # which ones a request for speech may name
    transcriptions: str | None = None
    images: str | None = None
    documents: str = "documents"
    voice: str = "default"


@dataclass(frozen=True, slots=True)
class Batch:
    """What a server does at once on GPUs of at least `memory` GiB, unless it is told otherwise."""

    memory: int
    tokens: int
    sequences: int


@dataclass(frozen=True, slots=True)
class Memory:
    """How a server uses the memory of its GPUs.

    `bound`: what `fraction` is a share of, and what has to fit into it. `total`: all that the server needs, into that
    share of the GPU. `static`: weights and cache, into that share of the GPU; without a fraction the server computes
    one. `after-weights`, `after-load`: the cache, into that share of what the weights leave, or all else. `needed`: it
    takes what it needs. `split`: how several GPUs share a model. `windows`: of how much of a text layers with a sliding
    window keep keys and values; None: of the window, a number: of that share of the text. `works`: what a forward pass
    needs beside the weights follows from a `batch` of tokens, from the `graph` of llama.cpp, or from `texts` that an
    encoder takes. `contexts`: by GiB of the GPU, where the server does not take the model's own.
    """

    bound: Literal["total", "static", "after-weights", "after-load", "needed"]
    fraction: float | None = None
    fraction_before: tuple[str, float] | None = None  # (version, what it was before that)
    split: Literal["tensors", "layers", "none"] = "tensors"
    works: Literal["batch", "graph", "texts"] = "batch"
    windows: float | None = 1.0
    block: int = 16  # tokens of a page of the cache
    batches: tuple[Batch, ...] = (Batch(0, 2048, 256),)
    captures_graphs: bool = False
    embeds_on_host: bool = False  # the table of embeddings stays in the host's memory
    contexts: Mapping[int, int] = field(default_factory=dict)
    quantizes: bool = True  # plain weights while it loads them, to kinds of which it knows how
    cache_size: str = ""  # what says the size of its cache in bytes, in its arguments or in a file of options
    no_cache_size: str = ""  # why its cache cannot be given a size in bytes, for people


@dataclass(frozen=True, slots=True)
class Wanted:
    """What releases from `since` on want of a host: a driver of at least that version, on data-center GPUs also one of
    an older branch from the version in `branches` on, and Docker."""

    since: str
    driver: tuple[int, ...]
    branches: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    docker: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Backend:
    """`options` has every name of `spec.language.options.OPTION_NAMES`. `flags` are those whose versions are known;
    a flag that is not in it is passed through, with a warning where `knows_all_flags`.

    `names`: how the server calls its model. `all`: by every served name. `one`: by one name, and no more. `any`: it
    answers to whatever a request says. `path`: the same, and lists the model by its path in the container. `tagged`:
    by every served name, and lists them with a tag behind it. `listed`: by a name of its own, where the spec has none;
    the first of its list is asked for. A version without `name_flag` calls its model by the last part of the path.
    """

    name: str
    title: str
    images: Images
    version: str | None  # the default of this edition of the language; None: the unversioned tags
    port: int  # the server's own, inside the container
    api: Api
    template: str  # file under templates/
    options: Mapping[str, OptionMapping]
    formats: tuple[Literal["gguf", "safetensors"], ...]
    categories: tuple[str, ...]
    gpu: Literal["required", "optional", "never"]
    ready_timeout: float  # seconds
    source: str  # where the facts come from
    aliases: tuple[str, ...] = ()
    replaced: Mapping[str, str] = field(default_factory=dict)  # name of what it took the place of -> what to know of it
    sources: tuple[str, ...] = FILES  # schemes of the models that it can serve
    # Format or scheme -> categories for which it is chosen where the spec names no backend; no two backends share one.
    chosen_for: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # The same where a service has no GPUs; these come first there.
    chosen_on_cpus: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    setup: str | None = None  # file under templates/: what the server must be told once it answers
    files: Mapping[str, str] = field(default_factory=dict)  # path in the container -> file under templates/, shipped
    builtin: Mapping[str, str] = field(default_factory=dict)  # model that it has by its name -> category, if not llm
    takes_model_args: bool = False  # each model of a service can have arguments
    default_context: int | None = None
    names: Literal["all", "one", "any", "path", "tagged", "listed"] = "all"
    name_flag: str | None = None
    needs_args: tuple[str, ...] = ()  # flags that only the spec can give
    notice: str | None = None  # what people should know who choose it: that nobody develops it any more, say
    stall_timeout: float = 300.0  # seconds without a sign of loading
    first_start: str | None = None  # what may take long the first time, for people who wait
    wants_env: Mapping[str, str] = field(default_factory=dict)  # variables that only the spec can give, and what for
    has_profiles: bool = False  # the spec's `nim`
    # What makes its image fetch the model of a profile, whose id follows, into its cache; () where nothing does.
    prefetch: tuple[str, ...] = ()
    shm_size: int | None = None  # bytes
    shm_size_multi_gpu: int | None = None  # bytes, when a replica has several GPUs
    stop_grace: float = 30.0  # seconds
    caches: Mapping[str, str] = field(default_factory=dict)  # name -> path in the container, read-write per service
    env: Mapping[str, str] = field(default_factory=dict)  # always set; offline mode belongs here
    flags: Mapping[str, FlagRange] = field(default_factory=dict)
    knows_all_flags: bool = False
    takes_beginnings: bool = False  # of a flag for the flag, as Python's argparse does
    # What makes its image name all its flags: arguments, tried in this order; (): it cannot be asked.
    help: tuple[tuple[str, ...], ...] = ()
    memory: Memory | None = None  # None: nothing is known of how it uses that of GPUs
    capability: tuple[int, int] | None = None  # compute capability of the oldest GPUs that its default version runs on
    wanted: tuple[Wanted, ...] = ()  # by releases, the oldest first

    @property
    def serves_several(self) -> bool:
        """Several models from one server."""
        return any(is_per_model(self, option) for option in self.options)


def is_per_model(backend: Backend, option: str) -> bool:
    """Each model of a server can have the option as it likes."""
    mapping = backend.options[option]
    return isinstance(mapping, InTemplate) and mapping.per_model
