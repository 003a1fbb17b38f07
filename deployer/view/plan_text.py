"""A plan as text: what changes and why, what it costs while it runs, and one last line that sums it up."""

from __future__ import annotations

from collections.abc import Sequence

from deployer.engine.wording import operation_text
from deployer.errors import Severity
from deployer.values.container import ContainerSpec
from deployer.values.plan import Action, Availability, Cause, Change, CreateContainer, Plan, PullImage, Step
from deployer.view.field_diff import render_diff
from deployer.view.gpus import render_gpus
from deployer.view.measures import counted, render_bytes
from deployer.view.page import Page, Span, Style

SYMBOLS = {
    Action.CREATE: ("+", Style.ADDED),
    Action.UPDATE: ("~", Style.CHANGED),
    Action.REPLACE: ("-/+", Style.CHANGED),
    Action.MOVE: ("=>", Style.CHANGED),
    Action.START: ("^", Style.ADDED),
    Action.STOP: ("v", Style.REMOVED),
    Action.REMOVE: ("-", Style.REMOVED),
    Action.KEEP: ("=", Style.DIM),
}
DETAIL = " " * 6


def render_plan(plan: Plan, *, steps: bool = False, verbose: bool = False) -> Page:
    """The whole plan but its problems; `steps` adds every step, `verbose` the replicas that are kept."""
    page = Page()
    page.line(Span(f"Project `{plan.project}`", Style.BOLD), f" on {counted(len(plan.hosts), 'host')}")
    told = {problem.host for problem in plan.problems}
    for name, use in sorted(plan.hosts.items()):
        if use.unreachable is not None and name not in told:
            page.line("  ", Span("!", Style.WARNING), f" {name} is unreachable: {use.unreachable}")
    shown = plan.changes if verbose else [c for c in plan.changes if _is_pending(c) or is_unknown(c)]
    created = _created(plan.steps)
    for change in shown:
        page.blank()
        page.extend(_render_change(change, created.get((change.key, change.host))))
    if not plan.is_empty:
        for section in (_placements(plan), _rollout(plan.rollout), _downloads(plan.steps)):
            page.blank()
            page.extend(section)
    if steps and plan.steps:
        page.blank()
        page.extend(render_steps(plan.steps))
    page.blank()
    page.extend(_end(plan))
    return page


def _is_pending(change: Change) -> bool:
    return change.action is not Action.KEEP and change.cause is not Cause.DEFAULT


def is_unknown(change: Change) -> bool:
    """The replica may run where nobody can look: nothing is done about it, and nothing is claimed."""
    return any(reason.code == "unknown" for reason in change.reasons)


def _created(steps: Sequence[Step]) -> dict[object, ContainerSpec]:
    return {(s.key, s.host): s.operation.spec for s in steps if isinstance(s.operation, CreateContainer)}


def _render_change(change: Change, container: ContainerSpec | None) -> Page:
    symbol, style = ("?", Style.WARNING) if is_unknown(change) else SYMBOLS[change.action]
    word = "leave" if is_unknown(change) else change.action
    where = f"from {change.from_host} to {change.host}" if change.from_host else f"on {change.host}"
    tag = {Cause.DRIFT: " (drift)", Cause.DEFAULT: " (default)"}.get(change.cause, "")
    why = "; ".join(reason.message for reason in change.reasons)
    page = Page()
    page.line(f"{symbol:>4} ", Span(f"{word} {change.key}", style), f" {where}{tag}{': ' if why else ''}{why}")
    if container is not None and change.action in (Action.CREATE, Action.MOVE):
        page.extend(_essentials(container))
    else:
        page.extend(render_diff(change.diff, DETAIL))
    return page


def _essentials(container: ContainerSpec) -> Page:
    """What an operator wants to see of a new container; the rest is in `render`."""
    rows = [("image", container.image)]
    rows += [("model", mount.source) for mount in container.mounts if mount.read_only]
    rows += [("gpus", render_gpus(container.gpus))] if container.gpus else []
    rows += [("port", f"{p.bind}:{p.host} to {p.container} in the container") for p in container.ports]
    rows += [("network", container.network)] if container.network != "bridge" else []
    rows += [("command", " ".join(container.command))] if container.command else []
    page = Page()
    for name, value in rows:
        page.line(DETAIL, Span(f"{name:<8}", Style.DIM), f" {value}")
    return page


def _placements(plan: Plan) -> Page:
    page = Page()
    if not plan.placements:
        return page
    page.line(Span("Placements", Style.BOLD))
    rows = [
        (str(p.key), ", ".join(m.host for m in p.members), render_gpus(g for m in p.members for g in m.gpus), p.url)
        for p in plan.placements
    ]
    widths = [max(len(row[i] or "") for row in rows) for i in range(3)]
    for key, hosts, gpus, url in rows:
        cells = [f"{key:<{widths[0]}}", f"{hosts:<{widths[1]}}"]
        cells += [f"{gpus or 'no GPU':<{max(widths[2], 6)}}"]
        page.line("  ", "  ".join([*cells, url or ""]))
    return page


def _rollout(rollout: Sequence[Availability]) -> Page:
    page = Page()
    fewer = [a for a in rollout if a.desired and (a.downtime or a.min_ready < a.ready_before)]
    if not fewer:
        return page
    page.line(Span("While it runs", Style.BOLD))
    width = max(len(a.service) for a in fewer)
    for service in fewer:
        page.line(f"  {service.service:<{width}}  ", *_availability(service))
    return page


def _availability(service: Availability) -> tuple[str | Span, ...]:
    after = f", {service.desired} after"
    if service.downtime:
        return (f"{service.ready_before} ready now, ", Span("down for a while", Style.WARNING), after)
    return (f"{service.ready_before} ready now, never fewer than {service.min_ready}{after}",)


def _downloads(steps: Sequence[Step]) -> Page:
    page = Page()
    fetches = [s for s in steps if s.bytes is not None or isinstance(s.operation, PullImage)]
    if not fetches:
        return page
    page.line(Span("To fetch", Style.BOLD))
    for step in fetches:
        size = "size not known before the pull" if step.bytes is None else render_bytes(step.bytes)
        page.line(f"  {step.host}  {operation_text(step.operation)} ({size})")
    return page


def render_steps(steps: Sequence[Step]) -> Page:
    """Every step in order, with what it waits for and what follows its failure."""
    number = {step.id: i for i, step in enumerate(steps, 1)}
    digits, host = len(str(len(steps))), max((len(s.host) for s in steps), default=0)
    page = Page()
    page.line(Span("Steps", Style.BOLD))
    for step in steps:
        needs = ", ".join(str(n) for n in sorted(number[i] for i in step.needs if i in number))
        after = Span(f"  after {needs}", Style.DIM) if needs else ""
        page.line(f"  {number[step.id]:>{digits}}  {step.host:<{host}}  {operation_text(step.operation)}", after)
        after_failure = [operation_text(operation) for operation in step.on_failure]
        after_failure += [f"{operation_text(operation)} on {where}" for where, operation in step.elsewhere]
        for what in after_failure:
            page.line(" " * (digits + host + 6), Span(f"if it fails: {what}", Style.DIM))
    return page


def _end(plan: Plan) -> Page:
    page = Page()
    waiting = sum(c.cause is Cause.DEFAULT for c in plan.changes)
    if waiting:
        page.line(f"{counted(waiting, 'replica')} would differ by newer defaults only; that waits for a real change.")
    if plan.has_errors:
        errors = sum(problem.severity is Severity.ERROR for problem in plan.problems)
        wanted = f" Without {'it' if errors == 1 else 'them'}: {summary_line(plan)}" if plan.pending else ""
        page.line(Span(f"Nothing can be applied: {counted(errors, 'error')}.", Style.ERROR), wanted)
    else:
        page.line(Span(summary_line(plan), Style.BOLD))
    return page


def summary_line(plan: Plan) -> str:
    """`Plan: 1 to create, 2 to replace on 2 hosts; 3 unchanged.`, or that there is nothing to do."""
    counts = plan.summary()
    unknown = sum(is_unknown(change) for change in plan.changes)
    kept = counts.pop(Action.KEEP.value) - unknown
    if not any(counts.values()) and plan.is_empty:
        unseen = f" {counted(unknown, 'replica')} cannot be seen." if unknown else ""
        return f"No changes. {_as_it_should(kept)}{unseen}" if kept or not unknown else f"No changes.{unseen}"
    asked = ", ".join(f"{count} to {action}" for action, count in counts.items() if count)
    hosts = counted(len({step.host for step in plan.steps} or {c.host for c in plan.pending}), "host")
    unchanged = (f"; {kept} unchanged" if kept else "") + (f"; {unknown} cannot be seen" if unknown else "")
    return f"Plan: {asked or 'finish what an earlier apply began'} on {hosts}{unchanged}."


def _as_it_should(kept: int) -> str:
    if kept == 0:
        return "Nothing is deployed, and nothing is asked for."
    return f"{counted(kept, 'replica')} run{'s' if kept == 1 else ''} as the spec says."
