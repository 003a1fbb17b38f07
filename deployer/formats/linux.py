"""What a Linux host says of itself: os-release, uname, id, /proc/meminfo, df, sshd's settings, cgroups. Pure.

Parsers take hostile text: they give None or nothing for what they cannot read, and raise nothing.
"""

from __future__ import annotations

import re

from deployer.dataclass import dataclass
from deployer.formats.text import lines, one_line, whole_number
from deployer.pattern import pattern

IDENTITY = pattern(r"uid=(\d{1,10})(?:\(([^)]*)\))? gid=(\d{1,10})")
FILESYSTEM = pattern(r"\s(\d{1,18})\s+(-?\d{1,18})\s+(-?\d{1,18})\s+(?:\d+%|-)\s+(/.*)\Z")
CONTAINER_ID = pattern(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
CGROUP = pattern(r"/proc/(\d{1,10})/cgroup:(.*)\Z")
CPU_RANGE = pattern(r"(\d{1,5})(?:-(\d{1,5}))?")
NETWORK_DEVICE = pattern(r"//[^/\s]+/|[^/\s]+[:=]/")
LOOPBACK = pattern(r"(?://)?(?:[^/@]*@)?(?:localhost|127\.|\[::1\])", re.IGNORECASE)
LATE_OPTIONS = frozenset({"nofail", "_netdev", "noauto", "x-systemd.automount"})
NETWORK_FILESYSTEMS = (
    "nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "lustre", "beegfs", "9p", "fuse.sshfs", "fuse.glusterfs",
)  # fmt: skip
SSHD_SETTINGS = (
    "maxsessions", "maxstartups", "allowtcpforwarding", "allowstreamlocalforwarding", "disableforwarding",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Uname:
    system: str
    hostname: str
    kernel: str
    arch: str


@dataclass(frozen=True, slots=True)
class UserIdentity:
    uid: int
    gid: int
    user: str


@dataclass(frozen=True, slots=True)
class Filesystem:
    """Sizes in bytes. `server`: where it is, if that is on the network, as `nas:/models`; else empty."""

    mount: str
    total: int
    free: int
    server: str = ""


def parse_os_release(text: str) -> str:
    """PRETTY_NAME, or NAME with VERSION_ID; empty when neither is there (man os-release)."""
    found = _os_release(text)
    plain = f"{found.get('NAME', '')} {found.get('VERSION_ID', '')}".strip()
    return found.get("PRETTY_NAME") or plain


def parse_distribution(text: str) -> tuple[str, ...]:
    """ID of os-release, then those it is like, the nearest first (man os-release)."""
    found = _os_release(text)
    words = f"{found.get('ID', '')} {found.get('ID_LIKE', '')}".lower().split()
    return tuple(dict.fromkeys(words))


def _os_release(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines(text, 200):
        key, separator, value = line.partition("=")
        if separator:
            found[key.strip()] = one_line(_unquoted(value.strip()))
    return found


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return re.sub(r"\\(.)", r"\1", value)


def parse_uname(text: str) -> Uname | None:
    """Of `uname -snrm`."""
    words = one_line(text, 400).split()
    return Uname(*words) if len(words) == 4 else None


def parse_identity(text: str) -> UserIdentity | None:
    """Of `id`; a user without a name is its number."""
    match = IDENTITY.match(text)
    if match is None:
        return None
    return UserIdentity(int(match[1]), int(match[3]), one_line(match[2] or match[1]))


def parse_cpus(text: str) -> int:
    """How many a list such as `0-3,8` names (man proc, Cpus_allowed_list)."""
    found: set[int] = set()
    for part in text.strip()[:8192].split(","):
        match = CPU_RANGE.fullmatch(part.strip())
        if match is not None:
            first, last = int(match[1]), int(match[2] or match[1])
            found.update(range(first, min(last, 65535) + 1))
    return len(found)


def parse_meminfo(text: str) -> tuple[int, int]:
    """Total and available bytes of /proc/meminfo; 0 where it does not say. Kernels before 3.14 lack MemAvailable."""
    found: dict[str, int] = {}
    for line in lines(text, 200):
        name, _, value = line.partition(":")
        number = whole_number(value.strip().removesuffix("kB"), 2**43)
        if number is not None:
            found.setdefault(name, number * 1024)
    free = found.get("MemFree", 0) + found.get("Buffers", 0) + found.get("Cached", 0)
    return found.get("MemTotal", 0), found.get("MemAvailable", free)


def parse_df(text: str) -> Filesystem | None:
    """The last line of `df -P -k PATH`. Names of filesystems may hold blanks, so it is read from its end."""
    shown = [line for line in lines(text, 100) if line.strip()]
    match = FILESYSTEM.search(shown[-1][:8192]) if shown else None
    if match is None:
        return None
    sizes = int(match[1]) * 1024, max(0, int(match[3])) * 1024
    return Filesystem(one_line(match[4], 4096), *sizes, _server(shown[-1][: match.start()].strip()))


def _server(device: str) -> str:
    """What NFS, CIFS, Ceph, GlusterFS, Lustre and sshfs mount is told by its server (nfs(5), mount.cifs(8),
    mount.ceph(8)); one that is this host itself is no other host's."""
    is_there = NETWORK_DEVICE.match(device) is not None and LOOPBACK.match(device) is None
    return one_line(device, 4096) if is_there else ""


def parse_port_range(text: str) -> tuple[int, int] | None:
    """Of /proc/sys/net/ipv4/ip_local_port_range."""
    numbers = [whole_number(word, 65535) for word in text.split()[:3]]
    if len(numbers) != 2 or numbers[0] is None or numbers[1] is None or numbers[0] > numbers[1]:
        return None
    return numbers[0], numbers[1]


def parse_sshd(text: str) -> dict[str, str]:
    """Settings of `sshd -T` or sshd_config: the first value counts, what stands under a Match is not asked for."""
    found: dict[str, str] = {}
    for line in lines(text, 500):
        name, _, value = line.strip().replace("=", " ", 1).partition(" ")
        if name.lower() == "match":
            break
        if name.lower() in SSHD_SETTINGS and value.strip():
            found.setdefault(name.lower(), one_line(value.strip().strip('"')))
    return found


def parse_late_mounts(fstab: str, waits: str) -> tuple[str, ...]:
    """Mount points of /etc/fstab that are not sure to be there when Docker starts: `nofail` and network filesystems are
    not ordered before it (systemd.mount(5)), unless `waits`, its RequiresMountsFor settings, names a path on them."""
    paths = [path for line in lines(waits, 200) for path in line.partition("=")[2].split()]
    found = []
    for line in lines(fstab, 200):
        words = line.split()
        if len(words) < 4 or words[0].startswith("#") or not words[1].startswith("/") or words[1] == "/":
            continue
        mount, kind, options = words[1].replace("\\040", " ").rstrip("/"), words[2], words[3].split(",")
        is_late = kind in NETWORK_FILESYSTEMS or not LATE_OPTIONS.isdisjoint(options)
        if is_late and not any(path == mount or path.startswith(f"{mount}/") for path in paths):
            found.append(one_line(mount))
    return tuple(found)


def container_ids(text: str) -> tuple[str, ...]:
    """The container ids in a /proc/PID/cgroup, the outermost first."""
    return tuple(dict.fromkeys(CONTAINER_ID.findall(text[:65536])))


def parse_cgroups(text: str) -> dict[int, tuple[str, ...]]:
    """pid -> container ids, of lines `/proc/PID/cgroup:` with a line of that file; the outermost first where they are
    nested."""
    found: dict[int, dict[str, None]] = {}
    for line in lines(text, 20_000):
        match = CGROUP.match(line[:8192])
        if match is not None:
            for found_id in CONTAINER_ID.findall(match[2]):
                found.setdefault(int(match[1]), {})[found_id] = None
    return {pid: tuple(ids) for pid, ids in found.items()}
