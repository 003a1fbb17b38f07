"""When a saved plan is refused: only for what its decisions used of a host, named with what it became."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deployer.errors import Diagnostic, RefusedError
from deployer.planning.planner import plan
from deployer.values.facts import HostFacts, ImageFact, Listener, ObservedState, Unreachable
from deployer.values.gpu_facts import Gpu
from deployer.values.resolved import Resolved, Unresolved
from deployer.workflow.session import Planned
from deployer.workflow.stale import refuse_stale
from tests.unit.planning.scene import CPU, Scene, a_stranger, with_others

Change = Callable[[HostFacts], HostFacts]
SERVICES: dict[str, dict[str, Any]] = {
    "chat": {"placement": CPU, "port": 8100},
    "draft": {"placement": CPU},
    "big": {"placement": {"gpus": 1, "hosts": ["h2"]}},
}
NGINX = "process nginx (pid 7)"


def nothing(facts: HostFacts) -> HostFacts:
    return facts


def planned(scene: Scene, change: Change = nothing, services: Any = SERVICES) -> Planned:
    project = scene.project(services)
    seen = scene.observed(project)
    observed = ObservedState({n: change(f) if isinstance(f, HostFacts) else f for n, f in seen.hosts.items()})
    resolved = Resolved({"key": Unresolved("not at hand")})
    return Planned(project, observed, resolved, plan(project, observed, resolved))


def moved(scene: Scene, change: Change, host: str = "h1") -> tuple[str, ...]:
    """The evidence of the refusal; empty where there is none."""
    saved = planned(scene).plan
    try:
        refuse_stale(saved, planned(scene, lambda facts: change(facts) if facts.name == host else facts))
    except RefusedError as refused:
        return next(d.evidence for d in refused.diagnostics if d.code == "stale-plan")
    return ()


def scene_of(apply: bool = False) -> Scene:
    scene = Scene({"h1": 0, "h2": 2})
    if apply:
        scene.apply(SERVICES)
    return scene


def listening(port: int, protocol: Any = "tcp") -> Change:
    return lambda facts: replace(facts, listeners=(*facts.listeners, Listener("0.0.0.0", port, protocol, NGINX)))


def gpus(facts: HostFacts, *cards: Gpu) -> HostFacts:
    return replace(facts, gpu=replace(facts.gpu, gpus=cards))


@pytest.mark.parametrize(
    "change",
    [
        nothing,
        lambda facts: replace(facts, images=(ImageFact("sha256:9", ("new:1",)),), memory_available=9, time="later"),
        listening(8200),
        listening(8100, "udp"),
        with_others(a_stranger("other", ports=(("0.0.0.0", 9000, "tcp"),))),
        lambda facts: replace(facts, clock_skew=99, kernel="7", state_writable=True),
    ],
)
@pytest.mark.parametrize("apply", [False, True])
def test_what_no_decision_used_may_move(change: Change, apply: bool) -> None:
    assert moved(scene_of(apply), change) == ()


def test_a_port_that_was_fixed_and_one_that_was_picked() -> None:
    scene = scene_of()
    picked = next(p.members[0].port for p in planned(scene).plan.placements if str(p.key) == "draft-0")
    host = next(p.members[0].host for p in planned(scene).plan.placements if str(p.key) == "draft-0")
    assert picked is not None
    found = moved(scene, listening(picked), host)
    assert f"{host}: ports {picked}: draft-0 -> {NGINX}" in found
    assert f"{host}: ports {picked + 1}: nothing -> draft-0" in found
    at = next(p.members[0].host for p in planned(scene).plan.placements if str(p.key) == "chat-0")
    other = next(name for name in ("h1", "h2") if name != at)
    found = moved(scene, listening(8100), at)
    assert found[0] == f"{at}: ports 8100: chat-0 -> {NGINX}", "it would go elsewhere now"
    assert moved(scene, listening(8100), other) == (), "of another host that port was not used"


def test_a_container_of_ours_that_died_or_was_made_anew() -> None:
    scene = scene_of(apply=True)
    on_h1 = next(box for box in scene.world.all_boxes if box.name in scene.world.boxes["h1"])

    def change(**changes: Any) -> Change:
        return lambda facts: replace(
            facts,
            containers=tuple(replace(c, **changes) if c.name == on_h1.name else c for c in facts.containers),
            listeners=() if "status" in changes else facts.listeners,
        )

    assert moved(scene, change(status="exited")) == (f"h1: containers {on_h1.name}: running -> exited",)
    (said,) = moved(scene, change(id="f" * 64))
    assert said == f"h1: containers {on_h1.name}: id {on_h1.id[:12]} -> id ffffffffffff"
    gone = moved(scene, lambda facts: replace(facts, containers=(), listeners=()))
    assert f"h1: containers {on_h1.name}: running -> nothing" in gone


def test_a_gpu_that_somebody_took_and_one_that_has_another_index() -> None:
    scene = scene_of()
    first, second = (Gpu(i, f"GPU-h2-{i}", "NVIDIA H100", 80 << 30) for i in (0, 1))
    taken = moved(scene, with_others(a_stranger("theirs", gpus=(first.uuid,)), host="h2"), "h2")
    assert "h2: gpus GPU-h2-0: 0 -> container theirs" in taken
    swapped = moved(scene, lambda facts: gpus(facts, replace(first, index=1), replace(second, index=0)), "h2")
    assert swapped, "an index names another GPU now"


def test_a_host_that_went_away_or_came_back() -> None:
    scene = scene_of()
    there = planned(scene)
    gone = Unreachable("h2", Diagnostic("unreachable", "host `h2` cannot be reached"))
    observed = ObservedState({**there.observed.hosts, "h2": gone})
    away = replace(there, observed=observed, plan=plan(there.project, observed, there.resolved))
    with pytest.raises(RefusedError) as caught:
        refuse_stale(there.plan, away)
    assert "h2: cannot be reached now (unreachable)" in caught.value.diagnostics[0].evidence
    with pytest.raises(RefusedError) as caught:
        refuse_stale(away.plan, there)
    assert any(said.startswith("h2: ") for said in caught.value.diagnostics[0].evidence)
