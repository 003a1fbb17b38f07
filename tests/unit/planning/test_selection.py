"""`--limit` and `--target` choose what is changed, never what is looked at."""

from __future__ import annotations

import pytest

from deployer.errors import UsageError
from deployer.planning.handover import Handover
from deployer.planning.selection import Selection, selected, selection_of
from deployer.spec.language import DeploySpec
from deployer.values.names import ReplicaKey
from deployer.values.plan import Action, Cause, Change

SPEC = DeploySpec.model_validate(
    {
        "version": 1,
        "project": "lab",
        "hosts": {"gpu-a": {}, "gpu-b": {}, "gpu-c": {}},
        "groups": {"prod": ["gpu-a", "gpu-b"]},
        "services": {"chat": {}, "docs": {}},
    }
)


def a_change(service: str, host: str, action: Action = Action.CREATE, from_host: str | None = None) -> Handover:
    return Handover(Change(ReplicaKey(service, 0), host, action, Cause.CHANGE, from_host=from_host))


@pytest.mark.parametrize(
    ("limit", "hosts"),
    [(("prod",), {"gpu-a", "gpu-b"}), (("gpu-a,gpu-c",), {"gpu-a", "gpu-c"}), (("gpu-b", "prod"), {"gpu-a", "gpu-b"})],
)
def test_limits_are_hosts_and_groups(limit: tuple[str, ...], hosts: set[str]) -> None:
    assert selection_of(SPEC, limit, ()).hosts == hosts


def test_nothing_given_selects_all() -> None:
    assert selection_of(SPEC, (), ()) == Selection()


def test_an_unknown_host_is_a_usage_error_with_the_nearest_name() -> None:
    with pytest.raises(UsageError) as caught:
        selection_of(SPEC, ("gpu-aa",), ())
    assert caught.value.exit_code == 64
    assert caught.value.diagnostics[0].hint == "did you mean `gpu-a`?"


def test_what_is_left_out_becomes_a_keep_that_says_what_it_would_be() -> None:
    chosen, problems = selected(
        (a_change("chat", "gpu-a"), a_change("docs", "gpu-b")), selection_of(SPEC, ("gpu-a",), ())
    )
    assert not problems
    assert [(h.change.action, [r.code for r in h.change.reasons]) for h in chosen] == [
        (Action.CREATE, []),
        (Action.KEEP, ["not-selected"]),
    ]
    assert chosen[1].change.reasons[0].message == "would be created, but is not selected"


def test_a_move_needs_both_its_hosts() -> None:
    moved = a_change("chat", "gpu-a", Action.MOVE, from_host="gpu-b")
    kept, _ = selected((moved,), selection_of(SPEC, ("gpu-a",), ()))
    taken, _ = selected((moved,), selection_of(SPEC, ("prod",), ()))
    assert (kept[0].change.action, kept[0].change.host) == (Action.KEEP, "gpu-b")
    assert taken[0].change.action is Action.MOVE


def test_a_service_that_is_gone_from_the_spec_can_be_selected() -> None:
    gone = a_change("old", "gpu-a", Action.REMOVE)
    taken, problems = selected((gone,), selection_of(SPEC, (), ("old",)))
    assert taken == (gone,)
    assert not problems


def test_a_service_that_is_nowhere_is_an_error() -> None:
    _, problems = selected((a_change("chat", "gpu-a"),), selection_of(SPEC, (), ("chta",)))
    assert [p.code for p in problems] == ["unknown-name"]
