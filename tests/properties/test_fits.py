"""Laws of placing by memory: what fits is placed, what is placed fits, and the changes that are offered help."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

from hypothesis import event, given, settings
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
BACKENDS = st.sampled_from(["vllm", "vllm", "sglang", "lmdeploy", "tgi", "tensorrt-llm"])
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
@given(FLEETS, MODELS, CONTEXTS, BACKENDS)
def test_changes_that_a_refusal_names_make_it_fit(
    fleet: dict[str, tuple[int, str]], name: str, context: int, backend: str
) -> None:
    here = scene(fleet, shape(name))
    options: dict[str, Any] = {"context_length": context, "tensor_parallel": 1}
    found = here.plan({"chat": {"backend": backend, "options": options}})
    lines = [line for problem in found.problems if problem.code == "no-placement" for line in problem.evidence]
    for line in lines:
        host, _, offered = line.partition("; it fits with ")
        for change in offered.replace(" or ", ", ").split(", ") if offered else ():
            changed = options | {
                option: number_of(value)
                for option, _, value in (one.replace("`", "").partition(" ") for one in change.split(" with "))
            }
            again = here.plan(
                {"chat": {"backend": backend, "options": changed, "placement": {"hosts": [host.split()[0]]}}}
            )
            assert places(again), change


def number_of(value: str) -> float | int | str:
    return float(value) if "." in value else int(value) if value.isdigit() else value


SETTING = re.compile(r"(?:set `([\w.]+)` to (\S+)|leave `([\w.]+)` out)")
SERVICES = st.fixed_dictionaries({
    "backend": BACKENDS,
    "replicas": st.integers(1, 3),
    "context": st.sampled_from([4096, 32768, 131072]),
    "tensor": st.none() | st.sampled_from([1, 2, 3, 4, 8]),
    "port": st.none() | st.just(8000),
    "gpus": st.sampled_from(["auto", 1, 2]),
    "hosts": st.none() | st.just(["h1"]),
    "limit": st.none() | st.just(1),
})  # fmt: skip


def service_of(said: dict[str, Any]) -> dict[str, Any]:
    options = {"context_length": said["context"]} | ({"tensor_parallel": said["tensor"]} if said["tensor"] else {})
    placement = {"gpus": said["gpus"]} | {
        key: value for key, value in (("hosts", said["hosts"]), ("max_per_host", said["limit"])) if value
    }
    port = {"port": {"number": said["port"]}} if said["port"] else {}
    return {
        "backend": said["backend"],
        "replicas": said["replicas"],
        "options": options,
        "placement": placement,
        **port,
    }


def with_settings(service: dict[str, Any], text: str) -> dict[str, Any]:
    """The service with what a hint says changed in it."""
    changed = deepcopy(service)
    for path, value, left_out in SETTING.findall(text):
        *section, key = (path or left_out).split(".")
        inside = changed.setdefault(section[0], {}) if section else changed
        if left_out:
            inside.pop(key, None)
        else:
            inside[key] = number_of(value)
    return changed


@settings(max_examples=60)
@given(FLEETS, MODELS, st.lists(SERVICES, min_size=1, max_size=2))
def test_what_a_hint_says_places_what_was_refused(
    fleet: dict[str, tuple[int, str]], name: str, said: list[dict[str, Any]]
) -> None:
    services = {f"s{index}": service_of(one) for index, one in enumerate(said)}
    hints_place_what_was_refused(scene(fleet, shape(name)), services)


def hints_place_what_was_refused(here: Scene, services: dict[str, dict[str, Any]]) -> None:
    """Each change of a service that a hint names was taken at its word, and nobody loses a place by it."""
    found = here.plan(services)
    placed = {str(one.key) for one in found.placements}
    for problem in found.problems:
        if problem.code != "no-placement":
            continue
        refused = re.findall(r"`(s\d)-(\d)`", problem.message)
        service = refused[0][0]
        for advice in (problem.hint or "").split(", or "):
            if not SETTING.search(advice):
                continue
            event("a hint was taken at its word")
            again = here.plan(services | {service: with_settings(services[service], advice)})
            wanted = {"-".join(key) for key in refused} if "`replicas`" not in advice else set()
            assert placed | wanted <= {str(one.key) for one in again.placements}, advice
            host = re.search(r"\((\w+) takes it then\)", advice)
            taken = {member.host for one in again.placements if one.key.service == service for member in one.members}
            assert host is None or host[1] in taken, advice
