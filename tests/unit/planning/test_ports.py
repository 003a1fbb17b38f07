"""Which port a replica gets on its host, and who has it otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from deployer.values.facts import HostFacts, Listener
from tests.support.plantext import changes_of
from tests.unit.planning.scene import CPU, EDIT, Scene, a_stranger, hint_of, ports_of, refusals_of, with_others

NEXT = {"number": 8001, "on_conflict": "next"}


def wish(port: object = None, **settings: object) -> dict[str, object]:
    return {"placement": CPU, "port": port, **settings}


def listening(*ports: int, owner: str | None = None, address: str = "0.0.0.0") -> Callable[[HostFacts], HostFacts]:
    def change(facts: HostFacts) -> HostFacts:
        return replace(facts, listeners=facts.listeners + tuple(Listener(address, p, "tcp", owner) for p in ports))

    return change


def test_the_first_free_port_of_the_range_is_taken_and_kept() -> None:
    scene = Scene({"h1": 0}, seen=listening(20000))
    assert ports_of(scene.apply({"api": wish(), "chat": wish(replicas=2)})) == {
        "api-0": 20001,
        "chat-0": 20002,
        "chat-1": 20003,
    }
    scene.seen = lambda facts: facts
    assert ports_of(scene.plan({"chat": wish(replicas=2)})) == {"chat-0": 20002, "chat-1": 20003}


def test_the_port_of_a_predecessor_is_left_for_a_rollback_while_others_are_free() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": wish()})
    scene.apply({"chat": wish(**EDIT)})  # its predecessor had 20000
    more = {"chat": wish(**EDIT), "docs": wish(replicas=2)}
    assert ports_of(scene.plan(more)) == {"chat-0": 20001, "docs-0": 20002, "docs-1": 20003}
    assert ports_of(scene.plan({"chat": wish(env={"ROUND": "3"})})) == {"chat-0": 20000}
    scene.hosts = {"h1": {"ports": "20000-20001"}}
    assert ports_of(scene.plan({"chat": wish(**EDIT), "docs": wish()})) == {"chat-0": 20001, "docs-0": 20000}


def test_ephemeral_ports_are_never_picked() -> None:
    scene = Scene({"h1": 0}, {"h1": {"ports": "32766-61001"}})
    found = scene.plan({"chat": wish(replicas=4)})
    assert sorted(filter(None, ports_of(found).values())) == [32766, 32767, 61000, 61001]


def test_a_range_that_is_used_up() -> None:
    scene = Scene({"h1": 0}, {"h1": {"ports": "20000-20001"}})
    found = scene.plan({"chat": wish(replicas=3)})
    assert refusals_of(found) == ["h1  no port of 20000-20001 is free"]


@pytest.mark.parametrize(
    ("owner", "said"),
    [
        ("process nginx (pid 7)", "process nginx (pid 7)"),
        (None, "a process that is not visible to this user"),
    ],
)
def test_a_fixed_port_held_by_a_process(owner: str | None, said: str) -> None:
    found = Scene({"h1": 0}, seen=listening(8001, owner=owner)).plan({"chat": wish(8001)})
    assert refusals_of(found) == [f"h1  port 8001 is held by {said}"]
    assert hint_of(found) == (
        "stop what holds the port, choose another `port`, or set `port.on_conflict` to next (h1 takes it then)"
    )


@pytest.mark.parametrize(
    ("address", "said"),
    [("::", "nginx (pid 7)"), ("::1", "nginx (pid 7), on ::1 only"), ("10.0.0.1", "on 10.0.0.1 only")],
)
def test_a_port_is_held_on_all_addresses_by_whoever_has_one(address: str, said: str) -> None:
    seen = listening(8001, owner="process nginx (pid 7)", address=address)
    (refusal,) = refusals_of(Scene({"h1": 0}, seen=seen).plan({"chat": wish(8001)}))
    assert refusal.endswith(said)


def test_a_leftover_proxy_can_be_killed() -> None:
    seen = listening(8001, owner="leftover docker-proxy (pid 77)")
    found = Scene({"h1": 0}, seen=seen).plan({"chat": wish(8001)})
    assert "`kill 77`" in (hint_of(found) or "")


def test_a_fixed_port_held_by_somebody_elses_container() -> None:
    other = a_stranger("old-vllm", ports=(("10.0.0.1", 8001, "tcp"),))
    found = Scene({"h1": 0}, seen=with_others(other)).plan({"chat": wish(8001)})
    assert refusals_of(found) == ["h1  port 8001 is held by container old-vllm"]


def test_udp_is_no_conflict() -> None:
    other = a_stranger("dns", ports=(("0.0.0.0", 8001, "udp"),))
    assert ports_of(Scene({"h1": 0}, seen=with_others(other)).plan({"chat": wish(8001)})) == {"chat-0": 8001}


def test_a_fixed_port_held_by_another_replica() -> None:
    found = Scene({"h1": 0}).plan({"api": wish(8001), "chat": wish(8001)})
    assert refusals_of(found) == ["h1  port 8001 is held by replica `api-0`"]


def test_a_fixed_port_stays_with_the_replica_that_runs_on_it() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": wish(8001)})
    found = scene.plan({"api": wish(8001), "chat": wish(8001)})
    assert ports_of(found) == {"chat-0": 8001}
    assert refusals_of(found) == ["h1  port 8001 is held by replica `chat-0`"]


def test_next_picks_a_free_one_and_keeps_it_ever_after() -> None:
    scene = Scene({"h1": 0}, seen=listening(8001))
    assert ports_of(scene.apply({"chat": wish(NEXT)})) == {"chat-0": 20000}
    scene.seen = lambda facts: facts
    assert scene.plan({"chat": wish(NEXT)}).is_empty
    assert ports_of(scene.plan({"chat": wish(NEXT) | EDIT})) == {"chat-0": 20000}
    assert ports_of(scene.plan({"chat": wish({"number": 8002, "on_conflict": "next"})})) == {"chat-0": 8002}


def test_our_own_listener_is_not_in_our_way_whoever_else_is_seen_on_the_port() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": wish(8001)})
    scene.seen = with_others(a_stranger("other", ports=(("10.0.0.9", 8001, "tcp"),)))
    assert scene.plan({"chat": wish(8001)}).is_empty


def test_a_port_that_somebody_took_while_the_replica_was_down_is_given_up() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": wish()})
    scene.box("chat-0").status = "exited"
    scene.world.foreign_ports = {"h1": {20000}}
    found = scene.plan({"chat": wish()})
    assert ports_of(found) == {"chat-0": 20001}
    assert changes_of(found) == ["chat-0 replace h1 (drift): port-changed, exited"]


def test_on_the_hosts_network_the_port_is_claimed_though_none_is_published() -> None:
    scene = Scene({"h1": 0})
    host = {"container": {"network": "host"}}
    found = scene.apply({"api": wish(8001, **host), "chat": wish()})
    assert ports_of(found) == {"api-0": 8001, "chat-0": 20000}
    assert scene.box("api-0").spec.ports == ()
    clash = scene.plan({"api": wish(8001, **host), "chat": wish(8001)})
    assert refusals_of(clash) == ["h1  port 8001 is held by replica `api-0`"]
    assert scene.plan({"api": wish(8001, **host), "chat": wish()}).is_empty


def test_a_successor_gets_a_port_beside_its_predecessor_where_the_spec_fixes_none() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"api": wish(), "chat": wish()})
    found = scene.plan({"api": wish() | EDIT, "chat": wish()})
    assert ports_of(found) == {"api-0": 20002, "chat-0": 20001}
    assert found.rollout[0].min_ready == 1
