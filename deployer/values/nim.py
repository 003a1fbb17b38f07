"""Profiles of NVIDIA NIM images: an engine for some number and kind of GPUs each, of which a server takes one."""

from __future__ import annotations

from typing import Literal

from deployer.dataclass import dataclass

Said = Literal["runnable", "low-memory", "compilable", "incompatible", "unsaid"]


@dataclass(frozen=True, slots=True)
class NimProfile:
    """As the image lists it: its id (64 hex digits), its name, and what the image thought of the GPUs that it saw then.

    `memory`: bytes of each GPU that it wants; `shorter`: the context with which it wants less, and how much then.
    """

    id: str
    name: str
    said: Said = "unsaid"
    memory: int | None = None
    shorter: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class ProfileTraits:
    """What the name of a profile says; None: nothing.

    `gpu`: the tag of the GPUs that its engine was built for; None: any. `device`: their PCI device id. `buildable`: the
    engine is built at the first start. `unknown`: parts of the name that mean nothing here.
    """

    backend: str | None = None
    gpu: str | None = None
    device: str | None = None
    precision: str | None = None
    tensor: int | None = None
    pipeline: int | None = None
    goal: str | None = None
    lora: bool = False
    buildable: bool = False
    memory: int | None = None
    unknown: tuple[str, ...] = ()

    @property
    def gpus(self) -> int:
        return (self.tensor or 1) * (self.pipeline or 1)


@dataclass(frozen=True, slots=True)
class SeenGpu:
    """A GPU that the image named above its list: PCI device id, index and name."""

    device: str
    index: int
    name: str


@dataclass(frozen=True, slots=True)
class ProfileList:
    """What `list-model-profiles` printed."""

    gpus: tuple[SeenGpu, ...] = ()
    profiles: tuple[NimProfile, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageProfiles:
    """The profiles of an image, as it listed them when it was asked on this host."""

    image: str  # sha256:... of the config
    asked: str  # RFC 3339, by the host's clock
    profiles: tuple[NimProfile, ...]
