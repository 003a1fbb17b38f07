"""What `history` prints: the applies, the last one first, with what each did on which host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deployer.values.history import Applied, Part
from deployer.view.json_text import FORMAT_VERSION
from deployer.view.page import Page, Span, Style

STYLES = {"done": Style.ADDED, "failed": Style.ERROR, "interrupted": Style.CHANGED}
ORDER = ("failed", "interrupted", "done")


def render_history(project: str, applied: Sequence[Applied]) -> Page:
    page = Page()
    if not applied:
        page.line(f"Project `{project}`: no host has a journal of it")
    for one in applied:
        page.blank()
        page.extend(_render(one))
    return page


def result_of(one: Applied) -> str:
    """The worst of its hosts' results; what a host says that is none of ours comes last."""
    results = {part.result for part in one.hosts.values()}
    return next((word for word in ORDER if word in results), next(iter(sorted(results)), ""))


def _render(one: Applied) -> Page:
    page = Page()
    result = result_of(one)
    when = one.time.replace("T", " ").removesuffix("Z")
    cells: tuple[str | Span, ...] = (f"  {when}  {one.verb}  ", Span(result, STYLES.get(result)), f"  by {one.who}")
    page.line(Span(one.apply, Style.BOLD), *cells, f"  commit {one.commit[:12]}" if one.commit else "")
    for host, part in sorted(one.hosts.items()):
        said = what(part) or one.summary or "nothing noted"
        page.line(f"  {host}  {said}", "" if part.result == result else f"  ({part.result})")
    return page


def what(part: Part) -> str:
    return ", ".join((*part.changes, f"and {part.more} more")) if part.more else ", ".join(part.changes)


def history_json(project: str, applied: Sequence[Applied]) -> dict[str, Any]:
    return {"format_version": FORMAT_VERSION, "project": project, "applies": [_json(one) for one in applied]}


def _json(one: Applied) -> dict[str, Any]:
    return {
        "apply": one.apply,
        "time": one.time,
        "verb": one.verb,
        "result": result_of(one),
        "who": one.who,
        "commit": one.commit,
        "plan": one.plan,
        "deployer": one.deployer,
        "summary": one.summary,
        "hosts": {
            host: {"time": part.time, "result": part.result, "changes": list(part.changes), "more": part.more}
            for host, part in sorted(one.hosts.items())
        },
    }
