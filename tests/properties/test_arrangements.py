"""Laws of placing several services: as many replicas find a place as could, by trying every arrangement there is, and
what is offered to those that find none places them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from deployer.values.facts import HostFacts
from deployer.values.gpu_facts import Gpu, GpuFacts
from deployer.values.plan import Plan
from tests.properties.test_fits import hints_place_what_was_refused
from tests.unit.planning.scene import Scene

GIB = 1 << 30
SIZES = {"H100": 80, "L4": 24, "H100 MIG 3g.40gb": 40}
SLICE = "H100 MIG 3g.40gb"


@dataclass(frozen=True)
class Card:
    host: str
    index: int
    kind: str
    slice: int | None = None

    @property
    def uuid(self) -> str:
        return f"GPU-{self.host}-{self.index}" if self.slice is None else f"MIG-{self.host}-{self.index}-{self.slice}"

    @property
    def memory(self) -> int:
        return SIZES[self.kind] * GIB * (995 if SIZES[self.kind] == 80 else 985) // 1000


@dataclass(frozen=True)
class Ask:
    """What a service asks for. `share`: GiB of each GPU."""

    gpus: int
    kind: str | None = None
    host: str | None = None
    replicas: int = 1
    most: int | None = None
    share: int | None = None
    listed: tuple[int, ...] = ()  # of h1

    def service(self) -> dict[str, Any]:
        placement: dict[str, Any] = {"gpus": self.gpus}
        placement |= {"gpu": {"model": self.kind}} if self.kind else {}
        placement |= {"hosts": [self.host]} if self.host else {}
        placement |= {"max_per_host": self.most} if self.most else {}
        placement |= {"share": True} if self.share else {}
        placement |= {"gpus": [f"h1:{index}" for index in self.listed]} if self.listed else {}
        options = {"gpu_memory": f"{self.share}g"} if self.share else {}
        tensor = {"tensor_parallel": self.gpus} if self.listed else {}
        return {"backend": "vllm", "replicas": self.replicas, "placement": placement, "options": options | tensor}

    def may_have(self, card: Card) -> bool:
        if (self.kind or "") not in card.kind or self.host not in (None, card.host):
            return False
        if self.gpus > 1 and card.slice is not None:
            return False
        return not self.listed or (card.host == "h1" and card.slice is None and card.index in self.listed)


Given = tuple[tuple[int, Ask, tuple[Card, ...]], ...]  # service, what it asks for, what a replica got


def is_allowed(given_out: Given) -> bool:
    """By the claims on each GPU, and how many replicas of a service a host may have."""
    cards = {card for _, _, got in given_out for card in got}
    for card in cards:
        asks = [ask for _, ask, got in given_out if card in got]
        if len(asks) > 1 and any(ask.share is None for ask in asks):
            return False
        if sum((ask.share or 0) * GIB for ask in asks) > card.memory:
            return False
    homes = [(number, got[0].host) for number, _, got in given_out]
    return all(ask.most is None or homes.count((number, got[0].host)) <= ask.most for number, ask, got in given_out)


def most_placed(cards: Sequence[Card], asks: Sequence[tuple[int, Ask]], given_out: Given = ()) -> int:
    if not asks:
        return len(given_out)
    (number, ask), rest = asks[0], asks[1:]
    best = most_placed(cards, rest, given_out)
    for got in groups(cards, ask):
        if best == len(given_out) + len(asks):
            break
        more = (*given_out, (number, ask, got))
        if is_allowed(more):
            best = max(best, most_placed(cards, rest, more))
    return best


def groups(cards: Sequence[Card], ask: Ask) -> Iterator[tuple[Card, ...]]:
    for host in sorted({card.host for card in cards}):
        yield from combinations([card for card in cards if card.host == host and ask.may_have(card)], ask.gpus)


def scene(cards: Sequence[Card], chosen: dict[str, dict[str, Any]] | None = None) -> Scene:
    """`chosen`: the `gpus` of hosts."""
    hosts = sorted({card.host for card in cards})

    def seen(facts: HostFacts) -> HostFacts:
        return replace(facts, gpu=GpuFacts(gpus=tuple(g for c in cards if c.host == facts.name for g in gpus_of(c))))

    settings = {host: {"gpus": gpus} for host, gpus in (chosen or {}).items()}
    return Scene({host: sum(card.host == host for card in cards) for host in hosts}, settings, seen=seen)


def gpus_of(card: Card) -> Iterator[Gpu]:
    """With the GPU that a first slice is of, which nobody gets."""
    whole = Gpu(card.index, f"GPU-{card.host}-{card.index}", "NVIDIA H100", 80 * GIB, compute_capability="9.0")
    if card.slice == 0:
        yield replace(whole, mig_mode=True)
    parent = None if card.slice is None else whole.uuid
    size, name = SIZES[card.kind] * GIB, f"NVIDIA {card.kind}"
    yield replace(whole, uuid=card.uuid, name=name, memory_total=size, parent=parent, slice=card.slice)


def is_given(card: Card, chosen: dict[str, dict[str, Any]]) -> bool:
    """To deployer, by the `gpus` of its host."""
    said = chosen.get(card.host, {})
    return card.index in said.get("use", [card.index]) and card.index not in said.get("exclude", [])


def given_by(found: Plan, cards: Sequence[Card], asks: Sequence[Ask]) -> Given:
    by_uuid = {card.uuid: card for card in cards}
    return tuple(
        (int(p.key.service[1:]), asks[int(p.key.service[1:])], tuple(by_uuid[uuid] for uuid in p.members[0].gpus))
        for p in found.placements
    )


KINDS = st.sampled_from(["H100", "L4"])
CUT = KINDS | KINDS | st.just(SLICE)
ASKS = st.builds(
    Ask,
    gpus=st.sampled_from([1, 1, 2, 3]),
    kind=st.none() | st.none() | KINDS,
    host=st.none() | st.none() | st.sampled_from(["h1", "h2"]),
    replicas=st.sampled_from([1, 1, 2]),
    most=st.none() | st.none() | st.just(1),
    share=st.none() | st.none() | st.sampled_from([10, 20, 40]),
)
LISTED = st.builds(Ask, gpus=st.just(1), listed=st.sampled_from([(0,), (1,), (0, 1), (1, 2)]))


@st.composite
def fleets(draw: st.DrawFn) -> tuple[Card, ...]:
    cards: list[Card] = []
    for host in ("h1", "h2", "h3")[: draw(st.integers(1, 3))]:
        kinds = draw(st.lists(CUT, min_size=1, max_size=4))
        for index, kind in enumerate(kinds):
            cards += [Card(host, index, kind, part) for part in ((0, 1) if kind == SLICE else (None,))]
    return tuple(cards)


CHOSEN = st.dictionaries(
    st.sampled_from(["h1", "h2"]),
    st.fixed_dictionaries({}, optional={"use": st.just([0, 1]), "exclude": st.just([0]) | st.just([1])}),
)


def that_can_be_asked(cards: Sequence[Card], asks: Sequence[Ask]) -> list[Ask]:
    """Of hosts and GPUs that are there."""
    known = [ask for ask in asks if ask.host in (None, *(card.host for card in cards))]
    here = {card.index for card in cards if card.host == "h1"}
    return [ask for ask in known if here.issuperset(ask.listed)]


@settings(max_examples=80)
@given(fleets(), st.lists(ASKS | LISTED, min_size=1, max_size=5), CHOSEN)
def test_as_many_replicas_are_placed_as_could_be(
    cards: tuple[Card, ...], asks: list[Ask], chosen: dict[str, dict[str, Any]]
) -> None:
    asks = that_can_be_asked(cards, asks)
    chosen = {host: gpus for host, gpus in chosen.items() if any(card.host == host for card in cards)}
    found = scene(cards, chosen).plan({f"s{number}": ask.service() for number, ask in enumerate(asks)})
    cards = tuple(card for card in cards if is_given(card, chosen))
    placed = given_by(found, cards, asks)
    assert is_allowed(placed)
    assert all(len(got) == ask.gpus and all(map(ask.may_have, got)) for _, ask, got in placed)
    each = [(number, ask) for number, ask in enumerate(asks) for _ in range(ask.replicas)]
    best = most_placed(cards, each)
    event("all are placed" if best == len(each) else "some are not")
    event("some are on slices" if any(card.slice is not None for _, _, got in placed for card in got) else "none is")
    assert len(placed) == best, [ask for ask in asks]
    named = {problem.code for problem in found.problems if problem.severity == "error"}
    assert named == ({"no-placement"} if len(placed) < len(each) else set())


@settings(max_examples=40)
@given(fleets(), st.lists(ASKS | LISTED, min_size=1, max_size=4), CHOSEN)
def test_what_a_hint_says_places_what_was_refused(
    cards: tuple[Card, ...], asks: list[Ask], chosen: dict[str, dict[str, Any]]
) -> None:
    chosen = {host: gpus for host, gpus in chosen.items() if any(card.host == host for card in cards)}
    services = {f"s{number}": ask.service() for number, ask in enumerate(that_can_be_asked(cards, asks))}
    hints_place_what_was_refused(scene(cards, chosen), services)


def test_a_large_one_does_not_take_the_only_host_that_is_left_for_two_small_ones() -> None:
    cards = [Card("h1", i, "H100") for i in range(4)] + [Card("h2", i, "H100") for i in range(3)]
    asks = [Ask(3), Ask(2), Ask(2)]
    found = scene(cards).plan({f"s{number}": ask.service() for number, ask in enumerate(asks)})
    assert not found.has_errors
    assert {str(p.key): p.members[0].host for p in found.placements} == {"s0-0": "h2", "s1-0": "h1", "s2-0": "h1"}


def test_one_that_takes_any_gpu_leaves_the_only_large_one_to_whom_it_must_be() -> None:
    cards = [Card("h1", 0, "H100"), Card("h1", 1, "L4")]
    found = scene(cards).plan({"s0": Ask(1).service(), "s1": Ask(1, kind="H100").service()})
    assert {str(p.key): p.members[0].gpus for p in found.placements} == {"s0-0": ("GPU-h1-1",), "s1-0": ("GPU-h1-0",)}


def test_what_runs_is_not_moved_for_a_newcomer() -> None:
    cards = [Card("h1", 0, "H100"), Card("h1", 1, "L4")]
    here = scene(cards)
    here.apply({"s0": Ask(1).service()})
    found = here.plan({"s0": Ask(1).service(), "s1": Ask(1, kind="H100").service()})
    assert {p.key.service: p.members[0].gpus for p in found.placements} == {"s0": ("GPU-h1-0",)}
    assert found.has_errors
