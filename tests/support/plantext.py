"""Plans as short text for tests: what changes and why, and each step with what it waits for and what undoes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set

from deployer.values.operations import Operation
from deployer.values.plan import Change, Plan, Step
from tests.support.world import World

There = Set[tuple[str, str]]  # host and container
NAME = re.compile(r"lab_([a-z0-9-]+)_(\d+)_([0-9a-f]{12})")


def changes_of(found: Plan) -> list[str]:
    """`chat-0 replace h1 (change): spec-changed`; a move says where from."""
    return [change_text(change) for change in found.changes]


def change_text(change: Change) -> str:
    where = f"{change.from_host}->{change.host}" if change.from_host else change.host
    codes = ", ".join(reason.code for reason in change.reasons)
    return f"{change.key} {change.action} {where} ({change.cause})" + (f": {codes}" if codes else "")


def steps_of(found: Plan, world: World | None = None) -> list[str]:
    """`h1/chat-0/start <- stop, h2/docs-0/commit | undo: remove chat-0, start chat-0=`. Needs are without what they
    share with the step; `=` marks a container that is there already. Pulls and directories are left out, but for
    `pull` among the needs."""
    boxes = world.boxes.items() if world is not None else ()
    there = {(host, name) for host, here in boxes for name in here}
    return [step_text(step, there) for step in found.steps if step.key is not None]


def step_text(step: Step, there: There) -> str:
    needs = ", ".join(filter(None, (need_text(step, need) for need in step.needs)))
    undo = undo_texts([(step.host, o) for o in step.on_failure], step.host, there)
    undo += undo_texts(step.elsewhere, step.host, there)
    text = short_names(step.id) + (f" <- {needs}" if needs else "")
    text += f" | undo: {', '.join(undo)}" if undo else ""
    back = undo_texts(step.reverts, step.host, there)
    return text + (f" | reverts: {', '.join(back)}" if back else "")


def undo_texts(operations: Iterable[tuple[str, Operation]], home: str, there: There) -> list[str]:
    """`bring back chat-0=` is a start that is followed by a wait for that very container, and by a request to it."""
    texts: list[str] = []
    found = list(operations)
    waited = {getattr(o, "name", "") for _, o in found if o.op == "await-ready"}
    asked = {getattr(o, "name", "") for _, o in found if o.op == "probe"}
    for host, operation in found:
        text = operation_text(host, operation, there)
        name = getattr(operation, "name", "")
        if operation.op == "start-container" and name in waited & asked:
            text = text.replace("start ", "bring back ", 1)
        if operation.op not in ("await-ready", "probe"):
            texts.append(text if host == home else f"{host}: {text}")
    return texts


def need_text(step: Step, need: str) -> str:
    if "/pull/" in need:
        return "pull"
    if "/directory/" in need:
        return "directory"
    own = f"{step.host}/{step.key}/"
    return need.removeprefix(own) if need.startswith(own) else short_names(need)


def operation_text(host: str, operation: Operation, there: There) -> str:
    verb = operation.op.partition("-")[0]
    more = f" to {short_names(operation.to)}" if operation.op == "rename-container" else ""
    return f"{verb} {short_names(getattr(operation, 'name', ''), host, there)}{more}"


def short_names(text: str, host: str = "", there: There = frozenset()) -> str:
    return NAME.sub(lambda m: f"{m[1]}-{m[2]}" + ("=" if (host, m[0]) in there else ""), text)


def problems_of(found: Plan) -> list[str]:
    return [f"{p.severity} {p.code}: {p.message}" for p in found.problems]


def lines(items: Iterable[str]) -> str:
    return "\n".join(items)
