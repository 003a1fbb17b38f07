"""Caches of weights as text and JSON: what is there, what was checked, what goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from deployer.errors import DeployerError
from deployer.values.cache import CachedModel, Checked, HostCache, Removal
from deployer.view.diagnostics import diagnostic_json
from deployer.view.json_text import FORMAT_VERSION
from deployer.view.measures import counted, render_bytes
from deployer.view.page import Page, Span, Style

SHORT = 12  # characters of a commit


def render_caches(found: Iterable[HostCache]) -> Page:
    page = Page()
    for cache in found:
        total = render_bytes(_bytes(cache.models))
        more = f", {render_bytes(cache.partial)} unfinished" if cache.partial else ""
        page.line(
            Span(cache.host, Style.BOLD), f"  {cache.cache_dir}: {counted(len(cache.models), 'model')}, {total}{more}"
        )
        for model in cache.models:
            kept = model.kept.manifest
            style = Style.ADDED if model.state == "whole" else Style.WARNING
            what = (
                f"{kept.source} at {kept.commit[:SHORT]}, {counted(len(kept.files), 'file')}, {render_bytes(kept.size)}"
            )
            page.line("  ", Span(f"{model.state:<7}", style), f"  {what}, checked {_time(model.kept.checked)}")
            used = ", ".join(model.users) if model.users else "nobody"
            page.line("           used by ", used)
    return page


def _bytes(models: Iterable[CachedModel]) -> int:
    blobs = {(m.kept.manifest.folder, f.blob): f.size for m in models for f in m.kept.manifest.files}
    return sum(blobs.values())


def _time(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return "at no time"


def caches_json(found: Iterable[HostCache]) -> dict[str, Any]:
    hosts = {
        cache.host: {
            "cache_dir": cache.cache_dir,
            "partial": cache.partial,
            "models": [_model_json(model) for model in cache.models],
            "problem": diagnostic_json(cache.problem) if cache.problem is not None else None,
        }
        for cache in found
    }
    return {"format_version": FORMAT_VERSION, "hosts": hosts}


def _model_json(model: CachedModel) -> dict[str, Any]:
    manifest = model.kept.manifest
    return {
        "id": model.kept.id,
        "source": manifest.source,
        "revision": manifest.revision,
        "commit": manifest.commit,
        "files": [{"path": f.path, "size": f.size, "sha256": f.sha256} for f in manifest.files],
        "size": manifest.size,
        "state": model.state,
        "missing": model.missing,
        "checked": model.kept.checked,
        "users": list(model.users),
    }


def render_checked(checked: Iterable[Checked]) -> Page:
    page = Page()
    for one in checked:
        what = f"{one.kept.manifest.source} at {one.kept.manifest.commit[:SHORT]}"
        if one.problem is not None:
            page.line(f"{one.host}  ", Span("failed", Style.ERROR), f"    {what}")
        elif one.wrong or one.fetched:
            page.line(
                f"{one.host}  ", Span("repaired", Style.CHANGED), f"  {what}, {render_bytes(one.fetched)} fetched"
            )
        else:
            page.line(
                f"{one.host}  ",
                Span("whole", Style.ADDED),
                f"     {what}, {counted(len(one.kept.manifest.files), 'file')}",
            )
        for path in one.wrong:
            page.line(f"  was wrong: {path}")
    return page


def checked_json(checked: Iterable[Checked]) -> dict[str, Any]:
    models = [
        {
            "host": one.host,
            "id": one.kept.id,
            "source": one.kept.manifest.source,
            "commit": one.kept.manifest.commit,
            "ok": one.problem is None,
            "wrong": list(one.wrong),
            "fetched": one.fetched,
            "problem": diagnostic_json(one.problem) if one.problem is not None else None,
        }
        for one in checked
    ]
    return {"format_version": FORMAT_VERSION, "models": models}


def render_removals(wanted: Iterable[Removal]) -> Page:
    page = Page()
    rows = [*wanted]
    for removal in rows:
        commits = ", ".join(commit[:SHORT] for commit in removal.commits) or "some of its files"
        page.line(f"  {removal.host}  {removal.folder} ({commits}): {render_bytes(removal.bytes)}")
    total = render_bytes(sum(removal.bytes for removal in rows))
    page.line(f"To remove: {total}" if rows else "Nothing to remove: all of it is used, or needed by the spec")
    return page


def removals_json(done: Mapping[Removal, int | DeployerError]) -> dict[str, Any]:
    rows = [
        {
            "host": removal.host,
            "folder": removal.folder,
            "commits": list(removal.commits),
            "bytes": removal.bytes,
            "freed": 0 if isinstance(outcome, DeployerError) else outcome,
            "problem": diagnostic_json(outcome.diagnostics[0]) if isinstance(outcome, DeployerError) else None,
        }
        for removal, outcome in done.items()
    ]
    return {"format_version": FORMAT_VERSION, "removed": rows}
