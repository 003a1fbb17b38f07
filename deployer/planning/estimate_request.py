"""What an estimate is asked of: a model, how it is to be served, and on which GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from fractions import Fraction

from deployer.backends.base import Backend, Batch, Memory
from deployer.backends.versions import parse_version
from deployer.catalog.gpus import Capability, GpuModel
from deployer.dataclass import dataclass, replace
from deployer.planning.estimate_weights import Spread
from deployer.planning.gpu_memory import LARGE
from deployer.values.model_shape import ModelShape
from deployer.values.model_weights import ModelWeights

GIB = 1 << 30
ANY_CONTEXT = 1 << 20  # tokens, where nobody says how long a text the model was made for


@dataclass(frozen=True, slots=True)
class SizedModel:
    """A model as far as it is known; None: nothing tells. `unread`: why not, for people."""

    name: str
    shape: ModelShape | None
    weights: ModelWeights | None
    unread: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU. `memory`: of which CUDA programs can have something, in bytes; `free`: what is left of it now, `kept`: of
    it for others than servers of deployer."""

    name: str
    memory: int
    capability: Capability | None = None
    links: str | None = None
    free: int | None = None
    kept: int = 0

    @property
    def room(self) -> int:
        """The most that servers may have together."""
        return max(0, self.memory - self.kept)

    @classmethod
    def of(cls, gpu: GpuModel) -> Card | None:
        """None where only the host knows the memory. CUDA shows 1.5 % less than nvidia-smi, 0.5 % less of 80 GB and
        more: cudaMemGetInfo in start-up logs of vLLM beside the `memory.total` of these cards."""
        if gpu.memory is None:
            return None
        per_mille = 995 if gpu.memory >= LARGE else 985
        return cls(gpu.name, gpu.memory * per_mille // 1000, gpu.capability, gpu.links)


@dataclass(frozen=True, slots=True)
class Serving:
    """How a model is to be served; None: as the backend does it by itself. `sequences`: of the whole `context`, held at
    once. `max_sequences`: those that a server works on together."""

    backend: Backend
    version: str | None = None
    context: int | None = None
    sequences: int = 1
    dtype: str | None = None
    quantization: str | None = None
    kv_dtype: str | None = None
    tensor: int = 1
    stages: int = 1
    fraction: float | None = None
    batch_tokens: int | None = None
    max_sequences: int | None = None
    loras: int = 0
    lora_rank: int = 16
    expert_parallel: bool = False  # experts are whole on one GPU of the group
    share: Fraction = Fraction(1)  # of the layers, those that are on GPUs
    offloaded: int = 0  # bytes of weights that each GPU leaves in the host's memory
    flags: Mapping[str, str] = field(default_factory=dict)  # option -> what people wrote in `args` instead of it

    @property
    def gpus(self) -> int:
        return self.tensor * self.stages

    @property
    def spread(self) -> Spread:
        """Servers that give each GPU layers of its own do so whatever the option for several GPUs is called."""
        layers_only = self.backend.memory is not None and self.backend.memory.split == "layers"
        if layers_only:
            return Spread(1, self.gpus, self.share)
        return Spread(self.tensor, self.stages, offloaded=self.offloaded)

    def context_on(self, card: Card | None, shape: ModelShape | None) -> int | None:
        """Tokens of a sequence: those asked for, else the server's default, else what the model was made for."""
        own = shape.context if shape is not None else None
        if self.context is not None:
            return self.context
        contexts = self.backend.memory.contexts if self.backend.memory is not None else {}
        fixed = [tokens for gib, tokens in sorted(contexts.items()) if card is not None and card.memory >= gib * GIB]
        default = fixed[-1] if fixed else self.backend.default_context
        return own if default is None else min(default, own or default)

    def batch_on(self, card: Card | None, memory: Memory) -> Batch:
        """What is worked on at once."""
        size = card.memory / GIB if card is not None else 0
        usual = max((batch for batch in memory.batches if batch.memory <= size), key=lambda batch: batch.memory)
        tokens, sequences = self.batch_tokens or usual.tokens, self.max_sequences or usual.sequences
        return replace(usual, tokens=tokens, sequences=sequences)

    def fraction_of(self, memory: Memory) -> float | None:
        if self.fraction is not None:
            return self.fraction
        number = parse_version(self.version) or parse_version(self.backend.version)
        before = memory.fraction_before
        if before is not None and number is not None and number < (parse_version(before[0]) or ()):
            return before[1]
        return memory.fraction
