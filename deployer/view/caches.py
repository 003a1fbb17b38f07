"""Caches of weights as text and JSON: what is there, what was checked, what goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from deployer.errors import DeployerError
from deployer.values.cache import CachedModel, Checked, CheckedCopy, HostCache, KeptCopy, Removal
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
            Span(cache.host, Style.BOLD),
            f"  {cache.cache_dir}{_shared(cache)}: {counted(len(cache.models), 'model')}, {total}{more}",
        )
        for model in cache.models:
            kept = model.kept.manifest
            style = Style.ADDED if model.state == "whole" else Style.WARNING
            what = (
                f"{kept.source} at {kept.commit[:SHORT]}, {counted(len(kept.files), 'file')}, {render_bytes(kept.size)}"
            )
            page.line("  ", Span(f"{model.state:<7}", style), f"  {what}, checked {_time(model.kept.checked)}")
            page.line("           used by ", _users(model))
        for copy in cache.copies:
            _copy_lines(page, copy)
    return page


def _shared(cache: HostCache) -> str:
    who = f", shared with {' and '.join(cache.others)}" if cache.others else ""
    return f" on {cache.shared}{who}" if cache.shared else ""


def _copy_lines(page: Page, kept: KeptCopy) -> None:
    files = kept.copy.files
    what = f"{kept.source} in {kept.copy.folder}, {counted(len(files), 'file')}, {render_bytes(_size(kept))}"
    style = {"whole": Style.ADDED, "changed": Style.WARNING, "unread": Style.DIM}[kept.state]
    page.line("  ", Span(f"{kept.state:<7}", style), f"  {what}, not deployer's")
    page.line("           used by ", _users(kept))


def _users(kept: CachedModel | KeptCopy) -> str:
    names = ", ".join(kept.users) or "nobody"
    return f"{names} since {_time(kept.since)}" if kept.since else names


def _size(kept: KeptCopy) -> int:
    return sum(stamp.size for stamp in kept.copy.files.values())


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
            "shared": cache.shared or None,
            "shared_with": list(cache.others),
            "models": [_model_json(model) for model in cache.models],
            "copies": [_copy_json(copy) for copy in cache.copies],
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
        "since": model.since,
    }


def _copy_json(kept: KeptCopy) -> dict[str, Any]:
    copy = kept.copy
    hashes = {path: read.sha256 for path in copy.files if (read := copy.current(path)) is not None}
    files = [
        {"path": path, "size": stamp.size, "sha256": hashes.get(path)} for path, stamp in sorted(copy.files.items())
    ]
    return {
        "source": kept.source,
        "folder": copy.folder,
        "commit": copy.commit or None,
        "files": files,
        "size": _size(kept),
        "state": kept.state,
        "users": list(kept.users),
        "since": kept.since,
    }


def render_checked(checked: Iterable[Checked], copies: Iterable[CheckedCopy] = ()) -> Page:
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
    for copy in copies:
        word, style = ("failed", Style.ERROR) if copy.problem is not None else ("whole", Style.ADDED)
        kept = copy.kept
        files = counted(len(kept.copy.read), "file")
        page.line(
            f"{kept.host}  ", Span(word, style), f"{'':<{10 - len(word)}}{kept.source} in {kept.copy.folder}, {files}"
        )
    return page


def checked_json(checked: Iterable[Checked], copies: Iterable[CheckedCopy] = ()) -> dict[str, Any]:
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
    rows = [
        {
            "host": one.kept.host,
            "source": one.kept.source,
            "folder": one.kept.copy.folder,
            "ok": one.problem is None,
            "wrong": [{"path": path, "why": why} for path, why in one.wrong.items()],
            "problem": diagnostic_json(one.problem) if one.problem is not None else None,
        }
        for one in copies
    ]
    return {"format_version": FORMAT_VERSION, "models": models, "copies": rows}


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
