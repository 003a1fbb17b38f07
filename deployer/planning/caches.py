"""Judges what hosts' caches hold: what is whole, who uses it, and what nobody needs. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from deployer import backends
from deployer.dataclass import dataclass, replace
from deployer.errors import Diagnostic, warning
from deployer.planning.presynced import places_asked
from deployer.planning.weights import manifest_of
from deployer.spec.language import DeploySpec
from deployer.values.cache import CacheContents, CachedModel, CacheUser, HostCache, KeptCopy, KeptManifest, Removal
from deployer.values.presynced import Copy
from deployer.values.resolved import Unresolved
from deployer.values.weights import PART, Listing, Manifest

FORMATS = tuple(sorted({backend.formats for backend in backends.load_all()}))


def judge_cache(host: str, contents: CacheContents, users: Sequence[CacheUser]) -> HostCache:
    models = tuple(_judge(host, kept, contents, users) for kept in contents.manifests)
    parts = (size for blobs in contents.blobs.values() for name, (size, _) in blobs.items() if name.endswith(PART))
    models = tuple(sorted(models, key=lambda m: (m.kept.manifest.source, m.kept.manifest.commit, m.kept.id)))
    return HostCache(host, contents.cache_dir, models, sum(parts), shared=contents.shared)


def seen_from(cache_dir: str, theirs: str, user: CacheUser) -> CacheUser:
    """A container of another host whose cache in `theirs` is the one in `cache_dir` here."""
    inside = f"{theirs}/"
    mounts = (
        cache_dir + m[len(theirs) :] if f"{m}/".startswith(inside) else cache_dir
        for m in user.mounts
        if f"{m}/".startswith(inside) or inside.startswith(m.rstrip("/") + "/")
    )
    return replace(user, mounts=tuple(mounts))


def each_once(found: Iterable[HostCache]) -> tuple[HostCache, ...]:
    """Without those that are another host's folder too."""
    seen: dict[str, HostCache] = {}
    for cache in found:
        seen.setdefault(cache.shared or f" {cache.host}", cache)
    return tuple(seen.values())


def copies_once(copies: Iterable[KeptCopy]) -> tuple[KeptCopy, ...]:
    """Without those that another host, which is named before, has too."""
    seen: dict[tuple[str, str], KeptCopy] = {}
    for kept in copies:
        seen.setdefault(("", kept.shared) if kept.shared else (kept.host, kept.copy.folder), kept)
    return tuple(seen.values())


def judge_copies(
    spec: DeploySpec, host: str, copies: Sequence[Copy], users: Sequence[CacheUser]
) -> tuple[KeptCopy, ...]:
    """What lies in a host's `model_dirs` of the spec's models."""
    asked = {p: m.source[0] for m in spec.models.values() for p in places_asked(spec.hosts[host], [m])}
    return tuple(_kept(host, asked[copy.asked], copy, users) for copy in copies if copy.asked in asked)


def _kept(host: str, source: str, copy: Copy, users: Sequence[CacheUser]) -> KeptCopy:
    mine = [u for u in users if any(f"{copy.folder}/".startswith(m.rstrip("/") + "/") for m in u.mounts)]
    state: Literal["whole", "changed", "unread"] = "changed" if copy.changed else "whole" if copy.read else "unread"
    return KeptCopy(host, source, copy, state, *_used_by(mine))


def _judge(host: str, kept: KeptManifest, contents: CacheContents, users: Sequence[CacheUser]) -> CachedModel:
    blobs = contents.blobs.get(kept.manifest.folder, {})
    files = {f.blob: f for f in kept.manifest.files}.values()
    missing = sum(f.size for f in files if blobs.get(f.blob, (-1, 0))[0] != f.size)
    touched = any(blobs[f.blob][1] > kept.checked for f in files if f.blob in blobs)
    mine = [user for user in users if _uses(user, kept, contents.cache_dir)]
    return CachedModel(host, kept, "changed" if missing or touched else "whole", missing, *_used_by(mine))


def _used_by(users: Iterable[CacheUser]) -> tuple[tuple[str, ...], int | None]:
    """Their names, and since when."""
    by_age = sorted(users, key=lambda user: user.since)
    return tuple(sorted({user.name for user in by_age})), by_age[0].since if by_age else None


def _uses(user: CacheUser, kept: KeptManifest, cache_dir: str) -> bool:
    """Whoever says which manifests are its own uses those; whoever does not, all that it can see."""
    if user.manifests:
        return kept.id in user.manifests
    folder = posixpath.join(cache_dir, kept.manifest.folder)
    return any(folder == mount or folder.startswith(mount.rstrip("/") + "/") for mount in user.mounts) or any(
        mount.startswith(folder + "/") for mount in user.mounts
    )


@dataclass(frozen=True, slots=True)
class Needed:
    """What a spec may still ask for: `ids` of manifests, and `sources` of which nobody could say what they have."""

    ids: frozenset[str]
    sources: frozenset[str]

    @classmethod
    def of(cls, spec: DeploySpec, listings: Mapping[str, Listing | Unresolved]) -> Needed:
        """By every backend's choice of files: which one serves may be decided anew."""
        ids, sources = set(), set()
        for model in spec.models.values():
            listing = listings.get(model.reference)
            if not model.is_fetched or not isinstance(listing, Listing):
                sources.add(model.source[0])
                continue
            made = (manifest_of(model, listing, formats) for formats in FORMATS)
            ids |= {manifest.id for manifest in made if isinstance(manifest, Manifest)}
        return cls(frozenset(ids), frozenset(sources))

    def __contains__(self, kept: KeptManifest) -> bool:
        return kept.id in self.ids or kept.manifest.source in self.sources


def removals(cache: HostCache, needed: Needed, budget: int | None = None) -> tuple[Removal, ...]:
    """What no container uses and the spec does not need: all of it, or with a `budget` what was checked longest ago,
    until what is kept fits."""
    idle = [m for m in cache.models if not m.users and m.kept not in needed]
    if budget is not None:
        idle = _beyond(cache.models, idle, budget)
    gone = {m.kept.id for m in idle}
    stay = [m for m in cache.models if m.kept.id not in gone]
    folders = sorted({m.kept.manifest.folder for m in idle})
    return tuple(_removal(cache, folder, idle, stay) for folder in folders)


def prunable(found: Iterable[HostCache], *, is_ours: bool) -> tuple[tuple[HostCache, ...], tuple[Diagnostic, ...]]:
    """The caches of which something may be removed, and why not of others. `is_ours`: nobody but this spec's hosts uses
    a folder on a file server."""
    chosen, problems = [], []
    for cache in each_once(found):
        who = " and ".join(f"`{name}`" for name in (cache.host, *cache.others))
        if cache.shared and not is_ours:
            message = f"the cache of {who} is on {cache.shared}, where other hosts may use it: nothing of it is removed"
            hint = "give `--shared`, if this spec has all hosts that do"
            problems.append(warning("shared-cache", message, hint=hint))
        elif cache.unseen and cache.problem is None:
            hidden = " and ".join(f"`{name}`" for name in cache.unseen)
            message = f"nothing of the cache of {who} is removed: what uses it on {hidden} cannot be seen"
            problems.append(warning("cache-users-unknown", message, hint="prune when Docker answers there"))
        else:
            chosen.append(cache)
    return tuple(chosen), tuple(problems)


def _beyond(models: Sequence[CachedModel], idle: list[CachedModel], budget: int) -> list[CachedModel]:
    total = _total(models)
    chosen: list[CachedModel] = []
    for model in sorted(idle, key=lambda m: (m.kept.checked, m.kept.id)):
        if total <= budget:
            break
        chosen.append(model)
        total = _total([m for m in models if m not in chosen])
    return chosen


def _total(models: Iterable[CachedModel]) -> int:
    return sum({(m.kept.manifest.folder, f.blob): f.size for m in models for f in m.kept.manifest.files}.values())


def _removal(cache: HostCache, folder: str, idle: Sequence[CachedModel], stay: Sequence[CachedModel]) -> Removal:
    mine = [m.kept for m in idle if m.kept.manifest.folder == folder]
    others = [m.kept for m in stay if m.kept.manifest.folder == folder]
    kept = {f.blob for k in others for f in k.manifest.files}
    blobs = {f.blob: f.size for k in mine for f in k.manifest.files if f.blob not in kept}
    commits = {k.manifest.commit for k in mine} - {k.manifest.commit for k in others}
    return Removal(
        cache.host,
        cache.cache_dir,
        folder,
        tuple(sorted(k.id for k in mine)),
        tuple(sorted(commits)),
        tuple(sorted(blobs)),
        sum(blobs.values()),
    )
