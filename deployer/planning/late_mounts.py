"""What a plan says of replicas whose files are on disks that Docker does not wait for: a boot leaves them stopped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deployer.errors import Diagnostic, Severity
from deployer.planning.desired import DesiredReplica

MOST_NAMED = 5
HINT = "`deployer doctor` prints the command that makes Docker wait for it"


def late_mount_warnings(desired: Iterable[DesiredReplica]) -> Iterator[Diagnostic]:
    """One for each host and disk."""
    late: dict[tuple[str, str], list[str]] = {}
    for replica in desired:
        for mount in sorted(_late(replica)):
            late.setdefault((replica.host, mount), []).append(f"`{replica.key}`")
    for (host, mount), keys in late.items():
        more = f" and {len(keys) - MOST_NAMED} more" if len(keys) > MOST_NAMED else ""
        stay = f"{', '.join(keys[:MOST_NAMED])}{more} would stay down after a reboot"
        message = f"Docker on host `{host}` may start before `{mount}` is mounted: {stay}"
        yield Diagnostic("late-mount", message, hint=HINT, severity=Severity.WARNING, host=host)


def _late(replica: DesiredReplica) -> set[str]:
    """Those that it needs; nothing of what a boot does not start anyway."""
    if replica.container.restart in ("no", "on-failure"):
        return set()
    sources = [f"{mount.source}/" for mount in replica.container.mounts if mount.kind == "bind"]
    disks = {disk: f"{disk.rstrip('/')}/" for disk in replica.placed.facts.late_mounts}
    return {disk for disk, prefix in disks.items() if any(source.startswith(prefix) for source in sources)}
