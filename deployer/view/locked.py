"""What `deployer lock` wrote, as text and JSON."""

from __future__ import annotations

from typing import Any

from deployer.values.lock import LockedModel, LockedNow
from deployer.view.json_text import FORMAT_VERSION
from deployer.view.measures import counted, render_bytes
from deployer.view.page import Page, Span, Style

SHORT = 12  # characters of a commit


def render_locked(locked: LockedNow) -> Page:
    page = Page()
    for name, entry in sorted(locked.lock.models.items()):
        files, commit = entry.listing.files, entry.listing.commit[:SHORT]
        size = render_bytes(sum(f.size for f in files))
        page.line("  ", Span(name, Style.BOLD), f"  {entry.listing.source} at {commit}, {_counted(files)}, {size}")
        if name in locked.moved and locked.moved[name][0] is not None:
            for line in _moves(*locked.moved[name]):
                page.line("      ", Span(line, Style.CHANGED))
    models = counted(len(locked.lock.models), "model")
    page.line(f"`{locked.path}`: {models}, {len(locked.moved) or 'none'} changed")
    return page


def _counted(files: tuple[object, ...]) -> str:
    return counted(len(files), "file")


def _moves(before: LockedModel | None, now: LockedModel) -> list[str]:
    if before is None:
        return []
    old, new = ({f.path: (f.size, f.sha256) for f in entry.listing.files} for entry in (before, now))
    lines = [f"moved from {before.listing.commit[:SHORT]} to {now.listing.commit[:SHORT]}"]
    lines += [f"+ {path}" for path in sorted(set(new) - set(old))]
    lines += [f"- {path}" for path in sorted(set(old) - set(new))]
    lines += [f"~ {path}" for path in sorted(set(old) & set(new)) if old[path] != new[path]]
    return lines


def locked_json(locked: LockedNow) -> dict[str, Any]:
    models = {
        name: {
            "source": entry.listing.source,
            "revision": entry.listing.revision,
            "commit": entry.listing.commit,
            "commit_before": _commit_before(locked, name),
            "files": [{"path": f.path, "size": f.size, "sha256": f.sha256} for f in entry.listing.files],
        }
        for name, entry in sorted(locked.lock.models.items())
    }
    return {"format_version": FORMAT_VERSION, "path": locked.path, "models": models}


def _commit_before(locked: LockedNow, name: str) -> str | None:
    before = locked.moved[name][0] if name in locked.moved else locked.lock.models[name]
    return before.listing.commit if before is not None else None
