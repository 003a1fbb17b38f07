"""A plan in words, row by row: what its text, its Markdown and its HTML all say. Knows no layout, escapes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from deployer.dataclass import dataclass
from deployer.engine.wording import operation_text
from deployer.errors import Severity
from deployer.values.container import ContainerSpec
from deployer.values.operations import CreateContainer
from deployer.values.plan import Action, Availability, Cause, Change, Plan, Step
from deployer.values.transfers import PullImage
from deployer.view.gpus import render_gpus
from deployer.view.measures import counted, render_bytes, render_seconds


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One change. `container`: the one that is made where the replica is new there; else `change.diff` says it."""

    change: Change
    container: ContainerSpec | None

    @property
    def is_unknown(self) -> bool:
        return is_unknown(self.change)

    @property
    def word(self) -> str:
        return "leave" if self.is_unknown else str(self.change.action)

    @property
    def place(self) -> str:
        change = self.change
        return f"from {change.from_host} to {change.host}" if change.from_host else f"on {change.host}"

    @property
    def tag(self) -> str:
        """`drift`, `default`, or nothing for what was asked for."""
        return str(self.change.cause) if self.change.cause in (Cause.DRIFT, Cause.DEFAULT) else ""

    @property
    def why(self) -> str:
        return "; ".join(reason.message for reason in self.change.reasons)


@dataclass(frozen=True, slots=True)
class PlacementRow:
    replica: str
    hosts: str
    gpus: str
    url: str


@dataclass(frozen=True, slots=True)
class FewerRow:
    """A service with fewer ready replicas while the plan runs, in words; `stress`: that it goes down."""

    service: str
    before: str
    stress: str
    after: str


@dataclass(frozen=True, slots=True)
class FetchRow:
    host: str
    what: str
    size: str


def is_pending(change: Change) -> bool:
    return change.action is not Action.KEEP and change.cause is not Cause.DEFAULT


def is_unknown(change: Change) -> bool:
    """The replica may run where nobody can look: nothing is done about it, and nothing is claimed."""
    return any(reason.code == "unknown" for reason in change.reasons)


def is_held(change: Change) -> bool:
    """It was rolled back, and stays as it is for now."""
    return any(reason.code == "held" for reason in change.reasons)


def change_rows(plan: Plan, *, kept: bool = False) -> list[ChangeRow]:
    """What is asked for and what nobody can see; with `kept` all else too."""
    created = {(s.key, s.host): s.operation.spec for s in plan.steps if isinstance(s.operation, CreateContainer)}
    shown = plan.changes if kept else [c for c in plan.changes if is_pending(c) or is_unknown(c)]
    new = (Action.CREATE, Action.MOVE)
    return [ChangeRow(c, created.get((c.key, c.host)) if c.action in new else None) for c in shown]


def essentials(container: ContainerSpec) -> list[tuple[str, str]]:
    """What an operator wants to see of a new container; the rest is in `render`."""
    rows = [("image", container.image)]
    rows += [("model", mount.source) for mount in container.mounts if mount.read_only]
    rows += [("gpus", render_gpus(container.gpus))] if container.gpus else []
    rows += [("port", f"{p.bind}:{p.host} to {p.container} in the container") for p in container.ports]
    rows += [("network", container.network)] if container.network != "bridge" else []
    rows += [("command", " ".join(container.command))] if container.command else []
    return rows


def unreachable_rows(plan: Plan) -> list[tuple[str, str]]:
    """Hosts that gave no facts, and why, unless a problem tells it."""
    told = {problem.host for problem in plan.problems}
    found = sorted(plan.hosts.items())
    return [(name, use.unreachable) for name, use in found if use.unreachable is not None and name not in told]


def placement_rows(plan: Plan) -> list[PlacementRow]:
    return [
        PlacementRow(
            str(p.key),
            ", ".join(m.host for m in p.members),
            render_gpus(g for m in p.members for g in m.gpus) or "no GPU",
            p.url or "",
        )
        for p in plan.placements
    ]


def fewer_rows(rollout: Sequence[Availability]) -> list[FewerRow]:
    fewer = [a for a in rollout if a.desired and (a.downtime or a.min_ready < a.ready_before)]
    return [_fewer(service) for service in fewer]


def _fewer(service: Availability) -> FewerRow:
    many = f"; {service.too_many} go down together, more than `max_unavailable` allows" if service.too_many else ""
    after = f", {service.desired} after{many}"
    if service.downtime:
        return FewerRow(service.service, f"{service.ready_before} ready now, ", down_words(service), after)
    before = f"{service.ready_before} ready now, never fewer than {service.min_ready}"
    return FewerRow(service.service, before, "", after)


def down_words(service: Availability) -> str:
    """For how long a service is down, and how that is known."""
    down = service.down
    if down is None:
        return "down for a while"
    words = f"down for {'about' if down.measured else 'up to'} {render_seconds(down.seconds)}"
    words += " as its last start took" if down.measured else ""
    allowed = f", more than the {render_seconds(down.allowed or 0)} that `max_downtime` allows"
    return words + (allowed if down.is_too_long else "")


def fetch_rows(steps: Sequence[Step]) -> list[FetchRow]:
    fetches = [s for s in steps if s.bytes is not None or isinstance(s.operation, PullImage)]
    return [
        FetchRow(
            step.host,
            operation_text(step.operation),
            "size not known before the pull" if step.bytes is None else render_bytes(step.bytes),
        )
        for step in fetches
    ]


def waiting_line(plan: Plan) -> str:
    """About replicas that only newer defaults would change; nothing where there are none."""
    waiting = sum(change.cause is Cause.DEFAULT for change in plan.changes)
    differ = f"{counted(waiting, 'replica')} would differ by newer defaults only; that waits for a real change."
    return differ if waiting else ""


def refusal_line(plan: Plan) -> str:
    """That the plan cannot be applied; nothing where it can."""
    errors = sum(problem.severity is Severity.ERROR for problem in plan.problems)
    return f"Nothing can be applied: {counted(errors, 'error')}." if errors else ""


def wanted_line(plan: Plan) -> str:
    """What would be done without the errors."""
    errors = sum(problem.severity is Severity.ERROR for problem in plan.problems)
    return f"Without {'it' if errors == 1 else 'them'}: {summary_line(plan)}" if plan.pending else ""


def summary_line(plan: Plan) -> str:
    """`Plan: 1 to create, 2 to replace on 2 hosts; 3 unchanged.`, or that there is nothing to do."""
    counts = plan.summary()
    unknown, held = sum(map(is_unknown, plan.changes)), sum(map(is_held, plan.changes))
    kept = counts.pop(Action.KEEP.value) - unknown - held
    if not any(counts.values()) and plan.is_empty:
        others = f" {_are(held)} held." if held else ""
        others += f" {counted(unknown, 'replica')} cannot be seen." if unknown else ""
        return f"No changes. {_as_it_should(kept)}{others}" if kept or not others else f"No changes.{others}"
    asked = ", ".join(f"{count} to {action}" for action, count in counts.items() if count)
    hosts = counted(len({step.host for step in plan.steps} or {c.host for c in plan.pending}), "host")
    unchanged = (f"; {kept} unchanged" if kept else "") + (f"; {held} held" if held else "")
    unchanged += f"; {unknown} cannot be seen" if unknown else ""
    return f"Plan: {asked or 'finish what an earlier apply began'} on {hosts}{unchanged}."


def _are(count: int) -> str:
    return f"{counted(count, 'replica')} {'is' if count == 1 else 'are'}"


def _as_it_should(kept: int) -> str:
    if kept == 0:
        return "Nothing is deployed, and nothing is asked for."
    return f"{counted(kept, 'replica')} run{'s' if kept == 1 else ''} as the spec says."
