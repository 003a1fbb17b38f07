"""What a host needs besides Docker: tools, a state directory, space, a right clock, an sshd that lets deployer work."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from deployer.planning.diagnose_docker import gpu_check
from deployer.planning.diagnose_gpu_health import gpu_health
from deployer.planning.diagnose_sshd import sshd_check
from deployer.planning.packages import as_root, install_tools
from deployer.planning.state_dir import denied_state_dirs, login_of
from deployer.spec.language import Host
from deployer.values.checks import Check, failed, passed, warned
from deployer.values.facts import Disk, HostFacts
from deployer.values.names import STATE_DIR
from deployer.values.tools import LIKED, NEEDED

GIB = 1 << 30
TOO_LITTLE, LITTLE = GIB, 10 * GIB  # free bytes
TOLERATED_SKEW = 30  # seconds
WITHOUT = {
    "ss": "finding out whose ports are takes longer",
    "timeout": "an `nvidia-smi` that hangs is waited for longer",
    "logger": "applies are not written to syslog",
}


def host_checks(host: Host, facts: HostFacts) -> Iterator[Check]:
    yield gpu_check(facts)
    yield from gpu_health(facts)
    yield from _tools(facts)
    yield _state_dir(facts)
    yield _cache_dir(host, facts)
    yield _space(host, facts)
    yield from _late_mounts(facts)
    yield from _clock(facts)
    if host.connection != "local":
        yield sshd_check(host, facts)


def _tools(facts: HostFacts) -> Iterator[Check]:
    """Nothing of facts that were recorded before tools were looked for."""
    needed = [tool for tool in NEEDED if facts.tools.get(tool) is False]
    liked = [tool for tool in LIKED if facts.tools.get(tool) is False]
    if needed:
        yield failed("tools", f"missing: {', '.join([*needed, *liked])}", install_tools(facts, [*needed, *liked]))
    elif liked:
        evidence = [f"without `{tool}` {WITHOUT[tool]}" for tool in liked]
        yield warned("tools", f"missing: {', '.join(liked)}", install_tools(facts, liked), evidence)
    elif facts.tools:
        yield passed("tools", "a shell with all that is needed, curl and sha256sum")


def _late_mounts(facts: HostFacts) -> Iterator[Check]:
    """Docker starts no container whose files are missing, and does not try again once they are there."""
    late = sorted({disk.mount for disk in facts.disks} & {*facts.late_mounts})
    if not late:
        return
    folder, names = "/etc/systemd/system/docker.service.d", " ".join(late)
    setting = shlex.quote(f"[Unit]\\nRequiresMountsFor={names}\\n")
    script = f"mkdir -p {folder} && printf {setting} >{folder}/mounts.conf && systemctl daemon-reload"
    yield warned(
        "boot",
        f"after a reboot Docker may start before `{names}` is mounted, and then leaves the models there stopped",
        f"run on the host: `{as_root(facts, f'sh -c {shlex.quote(script)}')}`",
    )


def _state_dir(facts: HostFacts) -> Check:
    denied = denied_state_dirs({facts.name: facts})
    if denied:
        message = f"`{STATE_DIR}` cannot be written by user `{facts.user}`, and an apply keeps its lock there"
        return failed("state-dir", message, denied[0].hint or "")
    return passed("state-dir", f"`{STATE_DIR}` can be written")


def _cache_dir(host: Host, facts: HostFacts) -> Check:
    """Where weights are kept; of the usual place `state-dir` says enough."""
    path, seen = host.cache_dir, facts.paths.get(host.cache_dir)
    command = f"sudo install -d -o {login_of(facts)} {shlex.quote(path)}"
    remedy = f"run on the host: `{command}`, or set `cache_dir` of the host"
    if seen is None:
        return passed("cache-dir", f"`{path}`")
    if seen.kind in ("file", "other"):
        return failed("cache-dir", f"`{path}` is no directory", "set `cache_dir` of the host to a directory")
    if seen.kind == "denied" or (seen.writable is False and facts.state_writable):
        return failed("cache-dir", f"`{path}` cannot be written by user `{facts.user}`", remedy)
    return passed("cache-dir", f"`{path}`" + (", made when it is needed" if seen.kind == "missing" else ""))


def _space(host: Host, facts: HostFacts) -> Check:
    """By mount: what is free where images, weights and the state are."""
    uses = {facts.docker.root_dir: "images", host.cache_dir: "weights", STATE_DIR: "state"}
    disks: dict[str, Disk] = {}
    kept: dict[str, list[str]] = {}
    for disk in facts.disks:
        if disk.path in uses:
            disks[disk.mount] = disk
            kept.setdefault(disk.mount, []).append(uses[disk.path])
    said = [
        f"{_gib(d.free)} of {_gib(d.total)} free on {mount} ({', '.join(kept[mount])})" for mount, d in disks.items()
    ]
    if not said:
        return warned("disk", "how much is free cannot be told", "see that `df` works on the host")
    least = min(disk.free for disk in disks.values())
    remedy = f"free some: `{as_root(facts, 'docker system df')}` shows what Docker holds, or grow the disk"
    if least < TOO_LITTLE:
        return failed("disk", "full, or nearly", remedy, said)
    if least < LITTLE:
        return warned("disk", "little is free for images and weights", remedy, said)
    return passed("disk", "; ".join(said))


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size < 100 * GIB else f"{size / GIB:.0f} GiB"


def _clock(facts: HostFacts) -> Iterator[Check]:
    skew = facts.clock_skew
    if skew is None:
        return
    if abs(skew) < TOLERATED_SKEW:
        yield passed("clock", "agrees with this machine's")
        return
    direction = "ahead of" if skew > 0 else "behind"
    message = f"is {_duration(abs(skew))} {direction} this machine's: certificates and times in logs may be wrong"
    yield warned("clock", message, f"run on the one that is wrong: `{as_root(facts, 'timedatectl set-ntp true')}`")


def _duration(seconds: int) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"at least {seconds // size} {unit}"
    return f"at least {seconds} seconds"
