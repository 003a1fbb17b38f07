"""The hosts' caches of weights: read, checked file by file and repaired, and tidied up. Decides nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from deployer.docker.calls import Refusal, engine_calls
from deployer.engine.hubs import Hubs, cas_for, tokens_for
from deployer.engine.watch import Watch
from deployer.errors import DeployerError
from deployer.transport.base import Transport
from deployer.values.cache import CacheUser, Checked, KeptManifest
from deployer.values.names import LABEL_DECISIONS
from deployer.values.weights import Listing, Manifest
from deployer.weights.script import Job
from deployer.weights.transfer import fetch

MOST_LABEL = 1 << 20


def cache_users(transport: Transport) -> tuple[CacheUser, ...] | None:
    """Every container of the host, ours or not, running or not; None where Docker does not say. DockerError."""
    try:
        with engine_calls(transport.name):
            listed = transport.docker().containers(all=True)
    except Refusal:
        return None
    return tuple(_user(entry) for entry in listed if isinstance(entry, Mapping))


def _user(entry: Mapping[str, Any]) -> CacheUser:
    names = [str(name).lstrip("/") for name in entry.get("Names") or ()]
    mounts = [str(m["Source"]) for m in entry.get("Mounts") or () if isinstance(m, Mapping) and m.get("Source")]
    label = (entry.get("Labels") or {}).get(LABEL_DECISIONS, "")
    since = created if type(created := entry.get("Created")) is int else 0
    return CacheUser(names[0] if names else str(entry.get("Id"))[:12], _manifests(label), tuple(mounts), since)


def _manifests(label: object) -> tuple[str, ...]:
    try:
        said = json.loads(label) if isinstance(label, str) and len(label) <= MOST_LABEL else None
    except (ValueError, RecursionError):
        return ()
    cached = said.get("cached") if isinstance(said, dict) else None
    entries = cached if isinstance(cached, list) else []
    return tuple(str(entry["manifest"]) for entry in entries if isinstance(entry, dict) and "manifest" in entry)


def check(transport: Transport, cache_dir: str, kept: KeptManifest, hubs: Hubs, watch: Watch) -> Checked:
    """Reads every file; one that is not right is fetched anew from the model's source. Never raises a DeployerError."""
    wrong: list[int] = []

    def follow(word: str, count: int) -> None:
        watch.pause(0)
        if word == "wrong":
            wrong.append(count)
        else:
            watch.progress(count, kept.manifest.size)

    problem, fetched = None, 0
    try:
        fetched = fetch(transport, _job(cache_dir, kept.manifest, hubs, transport), follow)
    except DeployerError as error:
        problem = error.diagnostics[0]
    contents = tuple({file.blob: file for file in kept.manifest.files}.values())
    names = tuple(contents[number - 1].path for number in sorted(wrong) if 1 <= number <= len(contents))
    return Checked(transport.name, kept, names, fetched, problem)


def _job(cache_dir: str, manifest: Manifest, hubs: Hubs, transport: Transport) -> Job:
    """With the places where its files are found today."""
    listing = hubs.located(Listing(manifest.source, manifest.revision, manifest.commit, manifest.files))
    tokens = tokens_for(hubs.spec.hubs, hubs.store, transport.name)
    found = Manifest(manifest.source, manifest.revision, manifest.commit, listing.files)
    pushed = manifest.source.startswith("local://")
    cas = cas_for(hubs.spec.hubs, hubs.folder, found)
    return Job(cache_dir, found, tokens, pushed=pushed, proxy=transport.host.proxy, cas=cas)
