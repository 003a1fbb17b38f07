"""Performs the reading of a copy that serves in place, and holds it against what the model's source promises."""

from __future__ import annotations

from deployer.engine.context import Site, failed
from deployer.engine.probe import Asked
from deployer.engine.probe_run import probe_host
from deployer.engine.watch import Watch
from deployer.errors import DeployerError, Diagnostic
from deployer.formats.text import one_line
from deployer.transport.base import Transport
from deployer.values.cache import CheckedCopy, KeptCopy
from deployer.values.facts import Disk
from deployer.values.names import STATE_DIR
from deployer.values.presynced import Copy
from deployer.values.transfers import CheckCopy
from deployer.values.weights import Manifest, WeightFile
from deployer.weights.copies import Outcome, Reading, read_copy

WHY = {
    "outside": "a link that leads out of the folder",
    "missing": "is not there",
    "changed": "changed while it was read",
    "altered": "has other content than when it was first read",
    "denied": "cannot be read by deployer's user",
}
OTHER = "has other content than its source"
MOST_NAMED = 10


def check_copy(operation: CheckCopy, site: Site) -> str:
    manifest = operation.manifest
    paths = tuple(file.path for file in manifest.files)
    told = site.context.readings.get((operation.read_by or "", manifest.id), {})
    reading = Reading(operation.root, operation.folder, paths, manifest.size, site.context.state_dir, told=told)

    def follow(count: int) -> None:
        site.watch.pause(0)
        site.watch.progress(count, manifest.size)

    site.watch.pause(0)
    outcome = read_copy(site.transport, reading, follow)
    site.context.readings[site.host, manifest.id] = outcome.seen
    wrong = wrong_files(manifest, outcome)
    if not wrong:
        return "not checked against a hub" if manifest.is_found else ""
    message = f"the copy of {manifest.source} in `{operation.folder}` cannot be used"
    evidence = tuple(f"{one_line(path, 100)}: {why}" for path, why in [*wrong.items()][:MOST_NAMED])
    again = f"apply again: it is fetched into `{operation.cache_dir}` instead; or put the copy right"
    raise failed("copy-wrong", message, "put the copy right" if manifest.is_found else again, evidence, site.host)


def find_copies(
    transport: Transport, places: tuple[str, ...], folders: tuple[str, ...]
) -> tuple[tuple[Copy, ...], tuple[Disk, ...]]:
    """And the disks that those folders are on. HostError where the host does not answer."""
    if not places:
        return (), ()
    probed = probe_host(transport, Asked(copies=places, disks=folders), gpus=False)
    return probed.copies, probed.disks


def check_again(transport: Transport, kept: KeptCopy, watch: Watch, state_dir: str = STATE_DIR) -> CheckedCopy:
    """Reads again all that was read of a copy. Never raises a DeployerError."""
    copy, size = kept.copy, sum(read.stamp.size for read in kept.copy.read.values())
    reading = Reading(copy.root, copy.folder, tuple(sorted(copy.read)), size, state_dir, again=True)

    def follow(count: int) -> None:
        watch.pause(0)
        watch.progress(count, size)

    try:
        outcome = read_copy(transport, reading, follow)
    except DeployerError as error:
        return CheckedCopy(kept, problem=error.diagnostics[0])
    wrong = {path: WHY[why] for path, why in sorted(outcome.refused.items())}
    for path, (sha256, _) in sorted(outcome.hashes.items()):
        if sha256 != copy.read[path].sha256:
            wrong[path] = WHY["altered"]
    if not wrong:
        return CheckedCopy(kept)
    message = f"the copy of {kept.source} in `{copy.folder}` on host `{kept.host}` is not what it was"
    evidence = tuple(f"{one_line(path, 100)}: {why}" for path, why in [*wrong.items()][:MOST_NAMED])
    hint = "put the copy right; what is not the model's is fetched into the cache by the next apply"
    return CheckedCopy(kept, wrong, Diagnostic("copy-wrong", message, evidence=evidence, hint=hint, host=kept.host))


def wrong_files(manifest: Manifest, outcome: Outcome) -> dict[str, str]:
    """Why each file that is not right is not."""
    found = {path: WHY[why] for path, why in sorted(outcome.refused.items())}
    for file in manifest.files:
        if file.path not in found and not _is_right(file, outcome.hashes.get(file.path)):
            found[file.path] = OTHER
    return found


def _is_right(file: WeightFile, hashes: tuple[str, str] | None) -> bool:
    if hashes is None:
        return False
    sha256, git = hashes
    return file.sha256 in (None, sha256) and (not file.git or not git or file.git == git)
