"""Plans in which every word that comes from hosts or specs is somebody's choice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

from deployer.errors import Diagnostic, Severity, Where
from deployer.values.container import ContainerSpec, Mount
from deployer.values.names import ReplicaKey
from deployer.values.operations import CreateContainer
from deployer.values.plan import (
    Action,
    Availability,
    Cause,
    Change,
    FieldDiff,
    HostUse,
    Member,
    Placement,
    Plan,
    Reason,
    Step,
)
from deployer.values.transfers import PullImage
from tests.unit.view.plans import a_plan

NASTY = (
    "</code></pre></td></details><h1>x</h1>", "<img src=x onerror=alert(1)>", "<script>alert(1)</script>", "-->",
    "<!--", "```", "`", "a`b`c`d", "| a | b |", "\\|", "\\", "@team", "ops@gpu.example.org", "#123", "a/b#1", "GH-12",
    "!45", "~bug", "$6", "%7", "&8", "&lt;b&gt;", "&#64;team", "http://evil.example", "www.evil.example",
    "WWW.evil.example", "![x](http://evil.example)", "[x](javascript:alert(1))", "[x]: http://evil.example",
    "**bold**", "_it_", "~~no~~",
    "\n\n# head\n\n", "\r\n- item", "::error::x", "##[error]x", "##vso[task.complete]", "    indented", "1. one",
    "- - -", "> quote", ":tada:", "/approve", "\x1b[31mred", "\x00", "\u202eevil", "\u2028", "\ud800",
    "{{ x }}", "{% raw %}",
    "'\"", "\" onmouseover=\"x", "javascript:alert(1)", "", " ", "x" * 5000, "[vulnerability:1]", "$`x`$", "^1",
    "=====",
)  # fmt: skip


def hostile_plan(texts: Sequence[str]) -> Plan:
    """The texts, in turn, everywhere where a plan has foreign ones; a plan of the same shape whatever they are."""
    supply = cycle(texts)
    word = supply.__next__
    name, host = word(), word()
    key = ReplicaKey(name, 0)
    container = ContainerSpec(image=word(), command=(word(), word()), mounts=(Mount(word(), "/m", read_only=True),))
    diffs = (FieldDiff(word(), word(), word()), FieldDiff(word(), None, {word(): [word()]}), FieldDiff(word(), 1, None))
    changes = (
        Change(key, host, Action.CREATE, Cause.CHANGE, (Reason("new", word()),)),
        Change(key, word(), Action.REPLACE, Cause.DRIFT, (Reason("x", word()), Reason("y", word())), diffs),
        Change(key, word(), Action.MOVE, Cause.CHANGE, (Reason("z", word()),), diffs, from_host=word()),
    )
    problems = tuple(
        Diagnostic(
            word(), word(), Where(word(), 1, 1, word(), word()), (evidence(word()), "said"), word() or "-", severity
        )
        for severity in Severity
    )
    return a_plan(
        hosts={host: HostUse({}, "1"), f"{word()} ": HostUse(unreachable=word())},
        changes=changes,
        steps=(
            Step("1", host, PullImage(word(), word())),
            Step("2", host, CreateContainer(word(), container, {}), ("1",), key=key),
        ),
        placements=(Placement(key, (Member(word(), (word(),), 1),), word() or "-"),),
        rollout=(Availability(word(), 2, 1, 2, downtime=False), Availability(word(), 1, 0, 1, downtime=True)),
        problems=problems,
    )


def evidence(text: str) -> str:
    """One line of it: how many there are is the shape of the plan."""
    return " ".join(text.split()) or "-"
