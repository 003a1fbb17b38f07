"""What `deployer lock` wrote, as text and JSON."""

from __future__ import annotations

from typing import Any

from deployer.values.image_content import ResolvedImage
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
    for name, image in sorted(locked.lock.images.items()):
        page.line("  ", Span(name, Style.BOLD), f"  {_image(image)}")
        before = locked.images[name][0] if name in locked.images else None
        if before is not None:
            page.line("      ", Span(f"moved from {_digest(before)} to {_digest(image)}", Style.CHANGED))
    entries = ", ".join((counted(len(locked.lock.models), "model"), counted(len(locked.lock.images), "image")))
    page.line(f"`{locked.path}`: {entries}, {len(locked.moved) + len(locked.images) or 'none'} changed")
    return page


def _image(image: ResolvedImage) -> str:
    where = f"from {image.archive}" if image.archive else "as the hosts have it" if image.seen else ""
    sizes = [f"{name} {render_bytes(content.size)}" for name, content in sorted(image.platforms.items())]
    return ", ".join(filter(None, (_digest(image), where, *sizes)))


def _digest(image: ResolvedImage) -> str:
    """Of what the registry has, else of its config."""
    known = image.digest or next(iter(sorted(image.ids)), "nothing")
    return known[: len("sha256:") + SHORT]


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
    images = {
        name: {
            "digest": image.digest,
            "digest_before": _image_before(locked, name),
            "platforms": {
                platform: {
                    "manifest": content.manifest.digest if content.manifest is not None else None,
                    "config": content.config.digest,
                    "bytes": content.size,
                }
                for platform, content in sorted(image.platforms.items())
            },
            "seen": list(image.seen),
        }
        for name, image in sorted(locked.lock.images.items())
    }
    return {"format_version": FORMAT_VERSION, "path": locked.path, "models": models, "images": images}


def _image_before(locked: LockedNow, name: str) -> str | None:
    before = locked.images[name][0] if name in locked.images else locked.lock.images[name]
    return before.digest if before is not None else None


def _commit_before(locked: LockedNow, name: str) -> str | None:
    before = locked.moved[name][0] if name in locked.moved else locked.lock.models[name]
    return before.listing.commit if before is not None else None
