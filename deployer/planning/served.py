"""What a service's container serves: one model, or several of them, each with names and options of its own. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

from deployer.backends.base import Backend
from deployer.dataclass import dataclass
from deployer.planning.models import BY_NAME
from deployer.spec.language import DeploySpec, Model, Service

SHARES_A_GPU = ("embedding", "reranker")


@dataclass(frozen=True, slots=True)
class Served:
    """One of a service's models. `service`: the service as it would be with this model alone; `args`: the model's."""

    service: Service
    model: Model
    category: str
    args: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return served_names(self.service)


def served_by(service: Service, models: Sequence[tuple[Model, str]]) -> tuple[Served, ...]:
    """`models`: of each of the service's models, in order, the model and its category."""
    pairs = zip(service.each(), models, strict=True)
    return tuple(
        Served(alone, model, category, args_of(service, i)) for i, (alone, (model, category)) in enumerate(pairs)
    )


def args_of(service: Service, index: int) -> tuple[str, ...]:
    """Arguments of one of several models."""
    return service.models[index].args if service.models else ()


def served_names(service: Service) -> tuple[str, ...]:
    """The names that the server answers to: of each model its `served_name`, else the model's own."""
    each = (alone.served_name or ((alone.model,) if alone.model else ()) for alone in service.each())
    return tuple(name for names in each for name in names)


def category_told(spec: DeploySpec, backend: Backend, service: Service, index: int) -> str | None:
    """Of one of the service's models, as far as the spec says it, or the backend whose own model it is."""
    own = service.models[index].category if service.models else None
    model = spec.models.get(service.each()[index].model or "")
    if own is not None or model is None:
        return own
    return model.category or category_of_its_own(backend, model)


def category_of_its_own(backend: Backend, model: Model) -> str | None:
    """What the backend says of a model that it has itself, whatever its tag, and whoever has a copy of it there."""
    name = posixpath.basename(model.location).partition(":")[0]
    return backend.builtin.get(name) if model.scheme in BY_NAME else None


def parallel(service: Service, said: Mapping[str, int]) -> int:
    """GPUs that a service with one model asks for by its sizes. `said`: those in its arguments."""
    tensor = said.get("tensor_parallel") or service.options.tensor_parallel or 1
    return tensor * (said.get("pipeline_parallel") or service.options.pipeline_parallel or 1)


def gpus_of_all(served: Sequence[Served]) -> int:
    """GPUs for all models of a server: those that generate have theirs alone, the small ones live beside others."""
    return max(1, sum(parallel(one.service, {}) for one in served if one.category not in SHARES_A_GPU))
