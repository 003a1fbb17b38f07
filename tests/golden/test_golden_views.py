"""Plans and diagnostics as people read them; reviewed as prose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deployer.errors import Diagnostic, Severity, Where
from deployer.values.events import ApplyResult, StepDone, StepFailed, StepSkipped, StepUndone
from deployer.values.names import ReplicaKey
from deployer.values.plan import Action, Availability, Cause, Change, Downtime, Plan, Reason
from deployer.view.apply_text import render_result
from deployer.view.diagnostics import render_diagnostics
from deployer.view.plan_html import render_html
from deployer.view.plan_markdown import render_markdown
from deployer.view.plan_text import render_plan
from tests.conftest import Golden
from tests.unit.planning.scene import Scene
from tests.unit.view.hostile import NASTY, hostile_plan
from tests.unit.view.plans import CHAT, a_plan, creation, everything, impossible

NOTHING_TO_DO = a_plan(changes=(Change(CHAT, "gpu-a", Action.KEEP, Cause.NONE),))
UNSEEN = Change(
    ReplicaKey("chat", 1),
    "gpu-c",
    Action.KEEP,
    Cause.NONE,
    (Reason("unknown", "may run on `gpu-c`, which is unreachable; left alone"),),
)


HELD = Change(
    ReplicaKey("docs", 0),
    "gpu-a",
    Action.KEEP,
    Cause.NONE,
    (Reason("held", "would be replaced, but is held since it was rolled back"),),
)

SLOW, UNKNOWN = Downtime(42.0, True, 30.0), Downtime(1330.0, False)
DOWN = (
    Availability("chat", 1, 0, 1, True, SLOW),
    Availability("docs", 2, 0, 2, True, UNKNOWN),
    Availability("embed", 3, 1, 3, False, too_many=2),
)


def handed_over(gpus: dict[str, int], replicas: int, **rollout: Any) -> Plan:
    """A service on GPUs after an edit of its options."""
    wish = {"replicas": replicas, "placement": {"gpus": 1}, "rollout": rollout}
    scene = Scene(gpus)
    scene.apply({"chat": wish})
    return scene.plan({"chat": {**wish, "options": {"context_length": 2048}}})


PLANS = [
    ("free-gpu", handed_over({"h1": 3}, 2)),
    ("free-host", handed_over({"h1": 1, "h2": 1}, 1, max_unavailable=0)),
    ("no-free-gpu", handed_over({"h1": 2}, 2)),
    ("create", creation()),
    ("downtime", replace(creation(), rollout=DOWN)),
    ("everything", everything()),
    ("impossible", impossible()),
    ("no-changes", NOTHING_TO_DO),
    ("nothing-deployed", a_plan()),
    ("held", a_plan(changes=(*NOTHING_TO_DO.changes, HELD))),
    ("unseen", a_plan(changes=(*NOTHING_TO_DO.changes, UNSEEN))),
]


@pytest.mark.parametrize(("name", "plan"), PLANS)
def test_plan(golden: Golden, name: str, plan: Plan) -> None:
    golden.check(f"golden/plan/{name}.txt", render_plan(plan).render())


@pytest.mark.parametrize(("name", "plan"), [*PLANS, ("hostile", hostile_plan(NASTY))])
def test_plan_for_a_pull_request(golden: Golden, name: str, plan: Plan) -> None:
    golden.check(f"golden/plan/{name}.md", render_markdown(plan))


def test_plan_as_a_page(golden: Golden) -> None:
    golden.check("golden/plan/everything.html", render_html(everything()))


def test_plan_with_steps(golden: Golden) -> None:
    golden.check("golden/plan/create-steps.txt", render_plan(creation(), steps=True, verbose=True).render())


DIAGNOSTICS = (
    Diagnostic(
        "unknown-key",
        "`contxt_length` is not a key of `options`",
        Where("deploy.yaml", 14, 7, "      contxt_length: 8192", "services.chat.options.contxt_length"),
        hint="did you mean `context_length`?",
    ),
    *impossible().problems,
    Diagnostic("host-key-changed", "host `gpu-a` shows another key than known_hosts has", host="gpu-a"),
    Diagnostic(
        "wrong-type",
        "`replicas` is a whole number",
        Where("部署.yaml", 1203, 12, '    模型: {x: "汉字", replicas: two}', "services.模型.replicas"),
        severity=Severity.WARNING,
    ),
    Diagnostic(
        "hostile", "the log says \x1b[2J\x1b]0;pwned\x07 this", evidence=("::set-env name=PATH::/evil", "a\nb\rc")
    ),
    Diagnostic(
        "long-line", "a long line is shown around its place", Where("x.yaml", 3, 300, "x" * 290 + "HERE" + "y" * 200)
    ),
)


def test_diagnostics(golden: Golden) -> None:
    golden.check("golden/diagnostics.txt", render_diagnostics(DIAGNOSTICS).render())


def outcome(**given: object) -> ApplyResult:
    return ApplyResult("a1", **given)  # type: ignore[arg-type]


FAILED = StepFailed("4", "gpu-a", "wait until demo_chat_0_0123456789ab is ready", 12.0, Diagnostic(
    "container-exited",
    "container `demo_chat_0_0123456789ab` exited with code 1 before it was ready",
    evidence=("error: unable to load model", "exiting"),
    hint="look at `deployer logs chat`",
))  # fmt: skip


NOT_UNDONE = StepUndone("4", "gpu-a", "start container demo_chat_0_fedcba987654", Diagnostic(
    "connection-lost", "the connection to host `gpu-a` (10.0.0.11:22) was lost: it does not answer any more",
))  # fmt: skip


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("success", outcome(outcomes={"1": StepDone("1", "gpu-a", "pull", 3.0)})),
        ("failure", outcome(outcomes={
            "1": StepDone("1", "gpu-a", "pull", 3.0), "4": FAILED, "5": StepSkipped("5", "gpu-a", "send", "4"),
        })),
        ("not-undone", outcome(outcomes={"4": FAILED}, not_undone=(NOT_UNDONE,))),
        ("interrupted", outcome(outcomes={"1": StepSkipped("1", "gpu-a", "pull", "interrupted")}, interrupted=True)),
        ("mismatch", outcome(outcomes={"1": StepDone("1", "gpu-a", "pull", 3.0)}, problems=(
            Diagnostic("not-as-planned", "replica `chat-0` on `gpu-a` is not as the spec says after the apply",
                       evidence=("its container exited with code 1",), hint="look at `deployer logs chat`"),))),
    ],
)  # fmt: skip
def test_result(golden: Golden, name: str, result: ApplyResult) -> None:
    golden.check(f"golden/apply/{name}.txt", render_result(creation(), result).render())
