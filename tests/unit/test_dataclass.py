"""`deployer.dataclass` against the standard library's: the same classes, made by both, behave the same."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import typing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field
from functools import cached_property
from threading import Barrier
from typing import Any, ClassVar

import pytest

from deployer.dataclass import FEW, dataclass, replace

Made = tuple[type[Any], type[Any]]


def by_both(write: Callable[[Any], type[Any]]) -> Made:
    """The class as `deployer.dataclass` makes it, and as the standard library does."""
    return write(dataclass), write(dataclasses.dataclass)


def host(decorator: Any) -> type[Any]:
    @decorator(frozen=True, slots=True)
    class Host:
        """A host."""

        kinds: ClassVar[int] = 3
        name: str
        port: int = 22
        labels: dict[str, str] = field(default_factory=dict)
        seen: int = field(default=0, compare=False, repr=False)

        def __str__(self) -> str:
            return f"{self.name}:{self.port}"

    return Host


def tally(decorator: Any) -> type[Any]:
    @decorator(slots=True)
    class Tally:
        first: int
        total: int = field(init=False)
        parts: list[int] = field(default_factory=list, init=False)

        def __post_init__(self) -> None:
            self.total = self.first * 2

    return Tally


def ordered(decorator: Any) -> type[Any]:
    @decorator(frozen=True, slots=True, order=True)
    class Version:
        major: int
        minor: int = 0

    return Version


def empty(decorator: Any) -> type[Any]:
    @decorator(frozen=True, slots=True)
    class Empty:
        pass

    return Empty


def single(decorator: Any) -> type[Any]:
    @decorator(frozen=True)
    class Single:
        name: str

        @cached_property
        def length(self) -> int:
            return len(self.name)

    return Single


@dataclass(frozen=True, slots=True)
class Pair:
    left: int
    right: tuple[str, ...] = ("a",)


@dataclass(frozen=True, slots=True)
class Triple(Pair):
    third: int = 3


@pytest.mark.parametrize(
    ("write", "given", "changes"),
    [
        (host, {"name": "a", "seen": 4}, {"port": 80}),
        (tally, {"first": 2}, {"first": 3}),
        (ordered, {"major": 1}, {"minor": 2}),
        (empty, {}, {}),
        (single, {"name": "ab"}, {"name": "abc"}),
    ],
)
def test_a_changed_copy_is_as_the_standard_one_makes_it(
    write: Callable[[Any], type[Any]], given: dict[str, Any], changes: dict[str, Any]
) -> None:
    ours, standard = by_both(write)
    before = ours(**given)
    assert repr(replace(before, **changes)) == repr(dataclasses.replace(standard(**given), **changes))
    assert before == ours(**given)
    with pytest.raises(TypeError):
        replace(before, unknown=1)


@pytest.mark.parametrize("write", [host, tally, ordered, single])
def test_objects_are_shown_and_compared_alike(write: Callable[[Any], type[Any]]) -> None:
    ours, standard = by_both(write)
    for kind in (ours, standard):
        assert kind("a" if write is not tally else 1) == kind("a" if write is not tally else 1)
        assert kind(1) != kind(2)
        assert kind(1) != "something else"
    assert repr(ours(1)) == repr(standard(1))
    assert ours.__match_args__ == standard.__match_args__
    assert parameters(ours) == parameters(standard)


def parameters(kind: type[Any]) -> list[tuple[str, object, bool]]:
    found = inspect.signature(kind).parameters.values()
    return [(one.name, one.annotation, one.default is one.empty) for one in found]


def test_frozen_objects_hash_by_what_is_compared() -> None:
    ours, standard = by_both(ordered)
    assert hash(ours(1, 2)) == hash(standard(1, 2))
    ours, standard = by_both(single)
    assert hash(ours("a")) == hash(standard("a"))
    ours, _ = by_both(host)
    with pytest.raises(TypeError, match="unhashable type: 'dict'"):
        hash(ours("a"))


def test_fields_that_do_not_count_are_neither_compared_nor_shown() -> None:
    ours, standard = by_both(host)
    assert ours("a", seen=1) == ours("a", seen=2)
    assert repr(ours("a", seen=1)) == repr(standard("a", seen=1))
    assert str(ours("a")) == "a:22"


def test_each_object_gets_its_own_default() -> None:
    ours, _ = by_both(host)
    assert ours("a").labels == {}
    assert ours("a").labels is not ours("a").labels
    assert ours("a", labels={"b": "c"}).labels == {"b": "c"}


def test_the_first_objects_of_a_class_and_later_ones_are_alike() -> None:
    ours, standard = by_both(host)
    made = [(ours("a", seen=n), ours("a", 80, labels={}, seen=n)) for n in range(3 * FEW)]
    assert {repr(found) for pair in made for found in pair} == {repr(standard("a")), repr(standard("a", 80))}
    assert len({id(found.labels) for pair in made for found in pair}) == 6 * FEW
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'name'"):
        ours()


def test_threads_that_need_a_class_at_once_find_it_whole() -> None:
    for _ in range(50):
        ours, _ = by_both(host)
        barrier = Barrier(8)

        def make(made: type[Any] = ours, barrier: Barrier = barrier) -> tuple[Any, Any]:
            barrier.wait(10)
            return made("a"), made("a") == made("a", 22)

        with ThreadPoolExecutor(8) as pool:
            found = [future.result() for future in [pool.submit(make) for _ in range(8)]]
        assert all(is_equal and repr(one) == repr(found[0][0]) for one, is_equal in found)


def test_fields_without_init_are_set_afterwards() -> None:
    ours, standard = by_both(tally)
    assert (ours(4).total, ours(4).parts) == (8, [])
    assert str(inspect.signature(ours)) == str(inspect.signature(standard)) == "(first: 'int') -> None"
    with pytest.raises(TypeError, match="unhashable"):
        hash(ours(4))


def test_frozen_objects_stay_as_they_are() -> None:
    ours, _ = by_both(host)
    found = ours("a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.port = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        del found.port
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.other = 1
    assert by_both(single)[0]("abc").length == 3


@pytest.mark.parametrize("arguments", [(), (1, 2, 3, 4, 5)])
def test_wrong_arguments_are_refused_in_the_same_words(arguments: tuple[int, ...]) -> None:
    said = []
    for kind in by_both(host):
        with pytest.raises(TypeError) as caught:
            kind(*arguments)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_the_standard_functions_know_these_classes() -> None:
    assert dataclasses.is_dataclass(Triple)
    assert [f.name for f in dataclasses.fields(Triple)] == ["left", "right", "third"]
    assert dataclasses.replace(Triple(1), third=4) == Triple(1, ("a",), 4)
    assert dataclasses.asdict(Triple(1)) == {"left": 1, "right": ("a",), "third": 3}
    assert typing.get_type_hints(Pair.__init__) == {"left": int, "right": tuple[str, ...], "return": type(None)}


def test_slots_hold_all_there_is() -> None:
    assert not hasattr(Triple(1), "__dict__")
    assert Triple(1) != Pair(1)


def test_copies_and_pickles_are_equal() -> None:
    found = Triple(1, ("b", "c"))
    assert copy.copy(found) == copy.deepcopy(found) == pickle.loads(pickle.dumps(found)) == found


def test_a_class_without_fields() -> None:
    ours, standard = by_both(empty)
    assert ours() == ours()
    assert hash(ours()) == hash(standard())
    assert repr(ours()) == repr(standard())


def test_patterns_match_by_position() -> None:
    match Triple(1):
        case Triple(left, right, third):
            assert (left, right, third) == (1, ("a",), 3)
