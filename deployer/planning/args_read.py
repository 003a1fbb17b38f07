"""Options that people write in `args`, by the flags that a backend maps its options to. Pure; decides nothing.

Arguments come after those of the options, and the last one counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from deployer import backends
from deployer.backends.base import Backend, Flag, InTemplate, Switch
from deployer.backends.versions import known_as
from deployer.dataclass import dataclass

if TYPE_CHECKING:
    from deployer.spec.language import Service

COUNTS = (
    "context_length", "tensor_parallel", "pipeline_parallel", "data_parallel", "max_concurrency", "max_batch_tokens",
)  # fmt: skip
NUMBERS = ("gpu_memory_fraction", "cpu_offload")
WORDS = ("dtype", "quantization", "kv_cache_dtype")
SIZES = ("tensor_parallel", "pipeline_parallel", "data_parallel")
NO_SIZES: Mapping[str, int] = {}
MOST = 10**9


@dataclass(frozen=True, slots=True)
class Said:
    """`values`: by option. `flags`: as which each was written. `unclear`: options that are said as nobody here can read
    it. `rest`: the arguments that say those, or something else."""

    values: Mapping[str, Any]
    flags: Mapping[str, str]
    unclear: frozenset[str]
    rest: tuple[str, ...]


@lru_cache(maxsize=4096)
def said_in(backend: str, args: tuple[str, ...]) -> Said:
    """`backend`: the name of a built-in one."""
    found = backends.find(backend)
    spelled = _spelled(found) if found is not None else {}
    values: dict[str, dict[str, Any]] = {}
    unread: set[str] = set()
    places: list[tuple[str, int, int]] = []  # option, first and last argument
    for place, arg in enumerate(args):
        name, equals, text = arg.partition("=")
        flag = known_as(found, name) if found is not None else name
        option = spelled.get(flag)
        if found is None or option is None:
            continue
        has_value = not isinstance(found.options[option], Switch)
        text = text if equals or not has_value else "".join(args[place + 1 : place + 2])
        value = _value(found, option, text)
        unread |= {option} if value is None else set()
        each = values.setdefault(option, {})
        each.pop(flag, None)  # the last one counts
        each[flag] = value
        places.append((option, place, place + (has_value and not equals)))
    unread |= {option for option, each in values.items() if found is not None and not _agrees(found, option, each)}
    read = {number for option, first, last in places if option not in unread for number in (first, last)}
    known = {option: [*each.items()][-1] for option, each in values.items() if option not in unread}
    return Said(
        {option: value for option, (_, value) in known.items()},
        {option: flag for option, (flag, _) in known.items()},
        frozenset(unread),
        tuple(arg for number, arg in enumerate(args) if number not in read),
    )


def sizes_said(backend: str, args: tuple[str, ...]) -> Mapping[str, int]:
    """How many GPUs work together, as far as arguments say it."""
    return _sizes(backend, args) if args else NO_SIZES


@lru_cache(maxsize=4096)
def _sizes(backend: str, args: tuple[str, ...]) -> Mapping[str, int]:
    values = said_in(backend, args).values
    return {size: values[size] for size in SIZES if size in values}


def as_said(backend: Backend, service: Service) -> Service:
    """The service with the options that its arguments say, and without those arguments."""
    said = said_in(backend.name, service.args) if service.args else None
    if said is None or not said.values:
        return service
    options, values = service.options, dict(said.values)
    for option, mapping in backend.options.items():
        whole = mapping.shared_by if isinstance(mapping, InTemplate) else None
        if whole is not None and not {option, whole}.isdisjoint(values):
            shares = getattr(options, whole) or 1
            total = values.get(option) or (getattr(options, option) or 0) * shares
            values[option] = total // (values.get(whole) or shares) or None
    changed = options.model_copy(update=values)
    return service.model_copy(update={"options": changed, "args": said.rest})


def flag_for(backend: Backend, service: Service, option: str, value: Any) -> tuple[str, Any] | None:
    """The flag that says the option in the arguments, and what it is to say then; None where no single one does."""
    flag, mapping = said_in(backend.name, service.args).flags.get(option), backend.options[option]
    if flag is None or (isinstance(mapping, Flag) and mapping.more):
        return None
    if isinstance(mapping, InTemplate) and mapping.shared_by is not None:
        return flag, value * (getattr(as_said(backend, service).options, mapping.shared_by) or 1)
    words = mapping.values if isinstance(mapping, Flag | InTemplate) and isinstance(value, str) else None
    return flag, (words or {}).get(value, value)


def rewritten(args: tuple[str, ...], flag: str, value: Any) -> tuple[str, ...]:
    """Arguments with another value of a flag; None: without it."""
    kept: list[str] = []
    skips = False
    for arg in args:
        name, equals, _ = arg.partition("=")
        if flag in (name, name.replace("_", "-")):
            skips = not equals
        elif skips:
            skips = False
        else:
            kept.append(arg)
    return (*kept, *(() if value is None else (flag, str(value))))


def _spelled(backend: Backend) -> dict[str, str]:
    """Flag -> the option that it says."""
    found: dict[str, str] = {}
    for option in (*COUNTS, *NUMBERS, *WORDS, "expert_parallel"):
        match backend.options[option]:
            case Flag() as mapping:
                found |= dict.fromkeys((mapping.name, *mapping.more, *mapping.aliases), option)
            case InTemplate(flags=flags):
                found |= dict.fromkeys(flags, option)
            case Switch(on=str(flag)) if option == "expert_parallel":
                found[flag] = option
            case _:
                pass
    return found


def _value(backend: Backend, option: str, text: str) -> Any:
    """None where it is nothing that the option could be."""
    if option in WORDS:
        mapping = backend.options[option]
        words = mapping.values if isinstance(mapping, Flag | InTemplate) else None
        if words is None:
            return text if text and not text.startswith("-") else None
        return text if words.get(text) == text else next((w for w, native in words.items() if native == text), None)
    if option == "expert_parallel":
        return True
    number = _number(text)
    if number is None or (option in COUNTS and not (number >= 1 and number.is_integer())):
        return None
    if option == "gpu_memory_fraction":
        return number if 0 < number <= 1 else None
    return int(number) if number.is_integer() else number


def _number(text: str) -> float | None:
    is_plain = text.isascii() and len(text) < 16 and text.replace(".", "", 1).isdecimal()
    return float(text) if is_plain and float(text) <= MOST else None


def _agrees(backend: Backend, option: str, each: Mapping[str, Any]) -> bool:
    """An option that goes by several flags is said by all of them, and by all the same."""
    mapping = backend.options[option]
    needed = 1 + len(mapping.more) if isinstance(mapping, Flag) else 1
    return needed == 1 or (len(each) >= needed and len(set(map(str, each.values()))) == 1)
