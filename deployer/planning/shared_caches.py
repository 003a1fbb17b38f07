"""Folders that several hosts see, on a file server: which hosts' `cache_dir` is one and the same, and which copies of
models. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from deployer.planning.cached import cache_of
from deployer.spec.language import Host
from deployer.values.facts import Disk, HostFacts


def disk_of(host: Host, facts: HostFacts) -> Disk | None:
    """The one that weights are fetched to."""
    return next((disk for disk in facts.disks if disk.path in (host.cache_dir, cache_of(host))), None)


def shared_folder(cache_dir: str, server: str, mount: str) -> str:
    """What a folder is called on every host that has it, wherever each mounts it; empty for one of the host's own, and
    where a link leads to it."""
    if not server or not f"{cache_dir}/".startswith(mount.rstrip("/") + "/"):
        return ""
    return posixpath.normpath(posixpath.join(server, posixpath.relpath(cache_dir, mount)))


def shared_cache(host: Host, facts: HostFacts) -> str:
    disk = disk_of(host, facts)
    return shared_folder(cache_of(host), disk.server, disk.mount) if disk is not None else ""


def shared_copy(folder: str, disks: Iterable[Disk]) -> str:
    """The same of a folder in one of the host's `model_dirs`."""
    under = [disk for disk in disks if f"{folder}/".startswith(disk.mount.rstrip("/") + "/")]
    disk = max(under, key=lambda disk: len(disk.mount), default=None)
    return shared_folder(folder, disk.server, disk.mount) if disk is not None else ""


def together(names: Iterable[str], folders: dict[str, str]) -> list[list[str]]:
    """Hosts by the folder that they have, in their order; each other host alone."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in names:
        folder = folders.get(name, "")
        found.setdefault((folder, "" if folder else name), []).append(name)
    return [*found.values()]
