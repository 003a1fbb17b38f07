"""Laws of placing by memory: what fits is placed, what is placed fits, and the changes that are offered help."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.planning.estimate import estimate
from deployer.planning.estimate_request import Card, SizedModel
from deployer.planning.sizing import card_of
from deployer.planning.weights_counted import stored_as_shaped
from deployer.values.estimate import Fit
from deployer.values.plan import Plan
from tests.support.estimates import serving
from tests.support.models import shape
from tests.unit.planning.scene import Scene
from tests.unit.planning.test_fitting import cards, scene

KINDS = st.sampled_from(["T4", "L4", "RTX 4090", "L40S", "A100", "H100", "H200"])
FLEETS = st.dictionaries(st.sampled_from(["h1", "h2", "h3"]), st.tuples(st.integers(1, 4), KINDS), min_size=1)
MODELS = st.sampled_from(["Qwen2.5-7B", "Llama-3.1-8B", "Qwen2.5-32B", "Llama-3.1-70B", "Qwen3-30B-A3B"])
CONTEXTS = st.sampled_from([2048, 16384, 65536, 131072])


def card_on(here: Scene, host: str, kind: str) -> Card:
    facts = here.world.facts(host, [])
    found = card_of(cards(facts, kind), facts)
    assert found is not None
    return found


def places(found: Plan) -> dict[str, int]:
    """Host -> how many GPUs."""
    return {member.host: len(member.gpus) for p in found.placements for member in p.members}


@settings(max_examples=60)
@given(FLEETS, MODELS, CONTEXTS, st.none() | st.sampled_from([1, 2, 4]))
def test_it_is_placed_where_it_fits_and_nowhere_else(
    fleet: dict[str, tuple[int, str]], name: str, context: int, tensor: int | None
) -> None:
    here = scene(fleet, shape(name))
    model = SizedModel("m", shape(name), stored_as_shaped(shape(name)))

    def fits(host: str, size: int) -> bool:
        found = estimate(model, serving(context=context, tensor=size), card_on(here, host, fleet[host][1]))
        return found.verdict in (Fit.FITS, Fit.TIGHT)

    options = {"context_length": context} | ({"tensor_parallel": tensor} if tensor else {})
    found = here.plan({"chat": {"backend": "vllm", "options": options}})
    sizes = (tensor,) if tensor else (1, 2, 3, 4)
    possible = {
        (host, size) for host, (count, _) in fleet.items() for size in sizes if size <= count and fits(host, size)
    }
    placed = places(found)
    assert bool(placed) == bool(possible)
    assert all(pair in possible for pair in placed.items())


@settings(max_examples=40)
@given(FLEETS, MODELS, CONTEXTS)
def test_changes_that_a_refusal_names_make_it_fit(fleet: dict[str, tuple[int, str]], name: str, context: int) -> None:
    here = scene(fleet, shape(name))
    options: dict[str, Any] = {"context_length": context, "tensor_parallel": 1}
    found = here.plan({"chat": {"backend": "vllm", "options": options}})
    lines = [line for problem in found.problems if problem.code == "no-placement" for line in problem.evidence]
    for line in lines:
        host, _, offered = line.partition("; it fits with ")
        for change in offered.replace(" or ", ", ").split(", ") if offered else ():
            option, _, value = change.replace("`", "").partition(" ")
            changed = options | {option: int(value) if value.isdigit() else value}
            if option == "tensor_parallel" and int(value) > fleet[host.split()[0]][0]:
                continue  # with more GPUs than the host has
            again = here.plan(
                {"chat": {"backend": "vllm", "options": changed, "placement": {"hosts": [host.split()[0]]}}}
            )
            assert places(again), change
