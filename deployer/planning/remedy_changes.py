"""Changes of a service that might let it be placed, the nearest first; whether they do, others try. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from deployer.backends.base import InTemplate
from deployer.catalog.quantizations import QUANTIZATIONS
from deployer.dataclass import dataclass
from deployer.planning.args_read import flag_for, rewritten, sizes_said
from deployer.planning.choice import ServiceChoice
from deployer.planning.gpus import gpus_wanted
from deployer.planning.placement import Placer
from deployer.planning.served import parallel
from deployer.spec.language import Service

WIDEST = 16
MOST_OFFERED = 6  # for one kind of host
ARGS = "args"


@dataclass(frozen=True, slots=True)
class ServiceChange:
    """Paths in the service, and the values to write there; None: to leave it out. A path in `args` ends with a flag."""

    values: tuple[tuple[tuple[str, ...], Any], ...]

    @classmethod
    def of(cls, *path: str, to: Any) -> ServiceChange:
        return cls(((path, to),))

    @property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        return tuple(path for path, _ in self.values)

    @property
    def size(self) -> float | None:
        """Where it is one number."""
        value = self.values[0][1] if len(self.values) == 1 else None
        return value if isinstance(value, int | float) else None

    @property
    def is_scaling(self) -> bool:
        return self.paths == (("replicas",),)

    @property
    def asks_for_less(self) -> bool:
        """Than people want."""
        return self.is_scaling or self.values == ((("placement", "gpus"), "none"),)

    @property
    def text(self) -> str:
        return " with ".join(f"`{_short(path)}` {'left out' if to is None else to}" for path, to in self.values)

    @property
    def setting(self) -> str:
        """As an instruction."""
        return " and ".join(_setting(path, to) for path, to in self.values)

    def applied(self, service: Service) -> Service:
        for path, to in self.values:
            if path[0] == ARGS:
                service = service.model_copy(update={ARGS: rewritten(service.args, path[1], to)})
                continue
            section = getattr(service, path[0]).model_copy(update={path[1]: to}) if len(path) > 1 else to
            service = service.model_copy(update={path[0]: section})
        return service


def _short(path: tuple[str, ...]) -> str:
    return path[1] if path[0] == ARGS else ".".join(path).removeprefix("options.")


def _setting(path: tuple[str, ...], to: Any) -> str:
    key = ".".join(path)
    if path[0] == ARGS:
        return f"leave `{path[1]}` out of `args`" if to is None else f"write `{path[1]} {to}` in `args`"
    if key == "options.quantization" and to in QUANTIZATIONS and not QUANTIZATIONS[to].by_server:
        return f"set `{key}` to {to} and take a checkpoint that is"
    return f"leave `{key}` out" if to is None else f"set `{key}` to {to}"


def changes_on(placer: Placer, choice: ServiceChoice, host: str) -> Iterator[ServiceChange]:
    """Those that the GPUs of one host suggest."""
    found = [
        ServiceChange(tuple(_written(choice, option, value) for option, value in fix))
        for fix in placer.places.fixes_on(choice, host)
    ]
    sizes = [*_sizes(choice, placer.places.cards_of(host)[1])]
    several = (
        isinstance(choice.backend.options["tensor_parallel"], InTemplate) or choice.service.options.tensor_parallel
    )
    if several and not isinstance(choice.service.placement.gpus, tuple):
        counted = isinstance(choice.service.placement.gpus, int)
        for size in sizes:
            change = (("placement", "gpus"), size) if counted else _written(choice, "tensor_parallel", size)
            found.append(ServiceChange((change,)))
    yield from list(dict.fromkeys(found))[:MOST_OFFERED]


def _written(choice: ServiceChoice, option: str, value: Any) -> tuple[tuple[str, ...], Any]:
    """Where the service says the option: in `args`, in the server's own words, or in `options`."""
    found = flag_for(choice.backend, choice.service, option, value)
    return (("options", option), value) if found is None else ((ARGS, found[0]), found[1])


def _sizes(choice: ServiceChoice, most: int) -> Iterator[int]:
    """Other numbers of GPUs than it asks for, the nearest first."""
    now = gpus_wanted(choice, 0) or parallel(choice.service, sizes_said(choice.backend.name, choice.service.args))
    others = [size for size in range(1, min(most, WIDEST) + 1) if size != now]
    yield from sorted(others, key=lambda size: (abs(size - now), size))[:3] if now > 1 else ()


def general_changes(choice: ServiceChoice, placed: int, refusals: Sequence[str]) -> Iterator[ServiceChange]:
    """Those that no GPU suggests, by what the hosts say. `placed`: how many of its replicas have a place."""
    service, reasons = choice.service, " ".join(refusals)
    if "port " in reasons and service.port.number is not None and service.port.on_conflict == "fail":
        yield ServiceChange.of("port", "on_conflict", to="next")
    if "max_per_host" in reasons:
        yield ServiceChange.of("placement", "max_per_host", to=None)
    if service.placement.gpu is not None:
        yield ServiceChange.of("placement", "gpu", to=None)
    memory = choice.backend.memory
    is_fine_without = choice.backend.gpu == "optional" and memory is not None and memory.works != "batch"
    if "GPU" in reasons and is_fine_without and service.placement.gpus != "none":
        yield ServiceChange.of("placement", "gpus", to="none")
    if 0 < placed < service.replicas:
        yield ServiceChange.of("replicas", to=placed)
    if service.placement.hosts is not None and "not selected" in reasons:
        yield ServiceChange.of("placement", "hosts", to=None)
