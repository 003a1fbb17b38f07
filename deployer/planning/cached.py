"""Weights in a host's cache: where they are there, whether they are whole, and how many bytes are missing. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any

from deployer.dataclass import dataclass, replace
from deployer.errors import Diagnostic
from deployer.planning.choice import NOT_ASKED, ServiceChoice
from deployer.planning.presynced import InPlace, find_in_place, located_in_place
from deployer.planning.render_request import Cached, ModelFacts
from deployer.planning.replicas import Found, current
from deployer.planning.weights import first_part
from deployer.spec.language import Host, Model
from deployer.spec.project import Project
from deployer.values.canonical import digest
from deployer.values.facts import HostFacts
from deployer.values.names import ReplicaKey
from deployer.values.resolved import Unresolved
from deployer.values.weights import MANIFESTS, PART, Listing, Manifest, blobs_of, folder_of


@dataclass(frozen=True, slots=True)
class CachedModels:
    """Where the models of replicas are in the hosts' caches, or will be once they are fetched."""

    project: Project
    found: Mapping[ReplicaKey, tuple[Found, ...]]
    listings: Mapping[str, Listing | Unresolved]
    fresh: dict[tuple[int, str], ModelFacts] = field(default_factory=dict)  # made once for all hosts of one `cache_dir`

    def locate(self, choice: ServiceChoice, model: Model, key: ReplicaKey, facts: HostFacts) -> ModelFacts | Diagnostic:
        """What the replica was given before on this host, unless a commit is asked for; else what its source has."""
        host, inputs = self.project.spec.hosts[facts.name], inputs_of(model, choice.backend.formats)
        manifest = choice.manifests.get(model, NOT_ASKED)
        here = current(self.found, key)
        before = here.recorded.decisions if here is not None and here.host == facts.name else {}
        fresh = None
        if isinstance(manifest, Manifest):
            fresh = self._fresh(manifest, host, inputs)
            if facts.copies:
                fresh = best_place(fresh, find_in_place(manifest, model, host, facts), before, (host, facts))
            elif manifest.is_found:
                fresh = None
        if before and not self._is_pinned(model):
            kept = kept_cached(before, inputs, host, facts)
            if kept is not None and (fresh is None or kept.path != fresh.path):
                return kept
        if fresh is not None:
            return fresh
        why = manifest.reason if isinstance(manifest, Unresolved) else "no hub said so, and there is no copy here"
        hint = manifest.hint if isinstance(manifest, Unresolved) else None
        message = f"the files of `{model.source[0]}` are not known: {why}"
        return Diagnostic("weights-unresolved", message, hint=hint or "plan where the hub can be reached")

    def _fresh(self, manifest: Manifest, host: Host, inputs: str) -> ModelFacts:
        key = (id(manifest), host.cache_dir)  # a choice keeps its manifests as long as places are looked for
        if key not in self.fresh:
            self.fresh[key] = locate_cached(manifest, host, inputs)
        return self.fresh[key]

    def _is_pinned(self, model: Model) -> bool:
        listing = self.listings.get(model.reference)
        return isinstance(listing, Listing) and listing.pinned


def cache_of(host: Host) -> str:
    return posixpath.normpath(host.cache_dir)


def folders_asked(host: Host, models: Iterable[Model]) -> tuple[str, ...]:
    """What must be looked into to tell how much of the models is there."""
    sources = sorted({model.source[0] for model in models if model.is_fetched})
    cache = cache_of(host)
    blobs = [posixpath.join(cache, blobs_of(folder_of(source))) for source in sources]
    return (posixpath.join(cache, MANIFESTS), *blobs) if blobs else ()


def inputs_of(model: Model, formats: Sequence[str]) -> str:
    """What the spec says of which files it wants; a commit that was decided stands while this does."""
    chosen = [model.source, model.revision, model.include, model.exclude, model.allow_pickle, formats]
    return digest([list(part) if isinstance(part, tuple) else part for part in chosen])[:16]


def locate_cached(manifest: Manifest, host: Host, inputs: str) -> ModelFacts:
    cache = cache_of(host)
    snapshot = posixpath.join(cache, manifest.snapshot)
    cached = Cached(posixpath.join(cache, manifest.folder), manifest.id, manifest.commit, inputs, manifest)
    parts = tuple(posixpath.join(snapshot, part) for part in first_part(manifest))
    return ModelFacts(parts[0] if parts else snapshot, "file" if parts else "directory", parts, cached)


def kept_cached(decisions: Mapping[str, Any], inputs: str, host: Host, facts: HostFacts) -> ModelFacts | None:
    """What a replica of this host was given before, if the spec still asks for that and the host has it whole."""
    recorded = decisions.get("cached")
    for said in recorded if isinstance(recorded, list) else ():
        found = _parse_recorded(said)
        if found is None or found.cached is None or found.cached.inputs != inputs:
            continue
        root, path = found.cached.root, found.path
        is_inside = root.startswith(cache_of(host) + "/") and path.startswith(root + "/")
        if is_inside and found.cached.manifest in manifests_there(host, facts):
            return found
        copy = next((c for c in facts.copies if c.root == root and f"{path}/".startswith(f"{c.folder}/")), None)
        if copy is not None and copy.read and not copy.changed:
            return replace(found, cached=replace(found.cached, in_place=copy.folder))
    return None


def best_place(
    own: ModelFacts, found: InPlace | None, before: Mapping[str, Any], where: tuple[Host, HostFacts]
) -> ModelFacts | None:
    """A copy in place saves a fetch; what is whole in the cache stays in use there, and a copy that is used too."""
    manifest = own.cached.files if own.cached is not None else None
    assert own.cached is not None, "it was located in a cache"
    assert manifest is not None, "for a manifest"
    if found is None:
        return None if manifest.is_found else own
    recorded = before.get("cached")
    roots = {said.get("root") for said in recorded if isinstance(said, dict)} if isinstance(recorded, list) else set()
    if found.copy.root not in roots and is_whole(manifest, *where):
        return own
    return located_in_place(manifest, found, own.cached.inputs)


def recorded_cached(models: Iterable[ModelFacts]) -> list[dict[str, Any]]:
    """What `kept_cached` reads."""
    return [
        {
            "root": model.cached.root,
            "manifest": model.cached.manifest,
            "commit": model.cached.commit,
            "inputs": model.cached.inputs,
            "path": model.path,
            "kind": model.kind,
            "parts": list(model.parts),
        }
        for model in models
        if model.cached is not None
    ]


def _parse_recorded(said: Any) -> ModelFacts | None:
    if not isinstance(said, Mapping) or not isinstance(parts := said.get("parts"), list):
        return None
    words = [said.get(key) for key in ("root", "manifest", "commit", "inputs", "path")]
    if not all(isinstance(word, str) and ".." not in word for word in (*words, *parts)):
        return None
    root, manifest, commit, inputs, path = map(str, words)
    kind = "file" if said.get("kind") == "file" else "directory"
    return ModelFacts(path, kind, tuple(parts), Cached(root, manifest, commit, inputs))  # type: ignore[arg-type]


def manifests_on(host: Host, facts: HostFacts) -> Mapping[str, tuple[int, int]] | None:
    """Ids of the file sets that the host has whole, with size and time; None where it was not asked."""
    return facts.folders.get(posixpath.join(cache_of(host), MANIFESTS))


def manifests_there(host: Host, facts: HostFacts) -> Mapping[str, tuple[int, int]]:
    """By their ids, with size and time of the file."""
    return manifests_on(host, facts) or {}


def is_whole(manifest: Manifest, host: Host, facts: HostFacts) -> bool:
    """By what is cheap to see: the manifest was written, and every file has its size and is not younger than that."""
    written = manifests_there(host, facts).get(manifest.id)
    blobs = _blobs(manifest, host, facts)
    if written is None:
        return False
    return all((found := blobs.get(f.blob)) and found[0] == f.size and found[1] <= written[1] for f in manifest.files)


def bytes_missing(manifest: Manifest, host: Host, facts: HostFacts) -> int:
    """What must come over the network if all that is there is right."""
    blobs = _blobs(manifest, host, facts)
    missing = 0
    for file in {f.blob: f for f in manifest.files}.values():
        if blobs.get(file.blob, (-1, 0))[0] != file.size:
            part = blobs.get(file.blob + PART, (0, 0))[0]
            missing += file.size - (part if part <= file.size else 0)
    return missing


def _blobs(manifest: Manifest, host: Host, facts: HostFacts) -> Mapping[str, tuple[int, int]]:
    return facts.folders.get(posixpath.join(cache_of(host), blobs_of(manifest.folder)), {})
