"""What a model would need of GPU memory, and whether it is there. All sizes in bytes, of one GPU."""

from __future__ import annotations

from enum import StrEnum

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic


class Fit(StrEnum):
    """`tight`: it may or may not, the estimate is not that exact."""

    FITS = "fits"
    TIGHT = "tight"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Terms:
    """What the memory of the fullest GPU is needed for; None where that is not known."""

    weights: int | None = None
    kv_cache: int | None = None
    activation: int | None = None  # what a forward pass needs while it runs
    graphs: int | None = None  # CUDA graphs
    overhead: int | None = None  # CUDA context, kernels, communication
    lora: int = 0

    @property
    def need(self) -> int | None:
        known = [t for t in (self.weights, self.kv_cache, self.activation, self.graphs, self.overhead) if t is not None]
        return sum(known) + self.lora if len(known) == 5 else None

    @property
    def band(self) -> tuple[int, int] | None:
        """Between which it lies: the cache is exact, of the rest 3 % less to 10 % more, as published logs show."""
        if self.need is None or self.kv_cache is None:
            return None
        rest = self.need - self.kv_cache
        return self.kv_cache + rest * 97 // 100, self.kv_cache + -(-rest * 110 // 100)


@dataclass(frozen=True, slots=True)
class Choice:
    """GPUs that the model could be put on: the smallest group of that kind on which it fits."""

    gpu: str
    tensor_parallel: int
    pipeline_parallel: int
    max_context: int
    verdict: Fit


@dataclass(frozen=True, slots=True)
class Estimate:
    """`gpu`: None where none was named. `count`: of GPUs that are at hand. `context`: tokens of one sequence, prompt
    and answer, `sequences` of which are held at once. `max_context`: the longest that fits; 0: none does. `budget`:
    what the server may take of one GPU. `choices`: of usual GPUs, where none was named."""

    model: str
    parameters: int | None
    backend: str
    gpu: str | None
    count: int
    tensor_parallel: int
    pipeline_parallel: int
    context: int | None
    sequences: int
    kv_bytes_per_token: int | None
    terms: Terms
    budget: int | None
    max_context: int | None
    verdict: Fit
    problems: tuple[Diagnostic, ...] = ()
    choices: tuple[Choice, ...] = ()
