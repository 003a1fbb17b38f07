"""What `force-unlock` prints: who holds the project's locks, and which were taken away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deployer.view.json_text import FORMAT_VERSION
from deployer.view.page import Page, Span, Style

if TYPE_CHECKING:
    from deployer.engine.lock import Held


def render_locks(project: str, held: Mapping[str, Held]) -> Page:
    page = Page()
    if not held:
        page.line(f"Project `{project}` is locked on no host")
    for host, lock in sorted(held.items()):
        ends = f"its lease ends in {lock.remains:.0f} s" if lock.remains > 0 else "its lease has run out"
        since = f" since {lock.since}" if lock.since else ""
        page.line(f"  {host}  held by {lock.who}{since}; {ends}")
    return page


def render_unlocked(broken: Mapping[str, Held]) -> Page:
    page = Page()
    for host, lock in sorted(broken.items()):
        page.line(Span("unlocked", Style.CHANGED), f"  {host}, that was held by {lock.who}")
    return page


def unlocked_json(project: str, broken: Mapping[str, Held]) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "project": project,
        "unlocked": [{"host": host, "holder": lock.who, "since": lock.since} for host, lock in sorted(broken.items())],
    }
