"""The probe: the shell script that a host is asked with, and what its answer means. Runs nothing itself.

Paths and the random word that heads the sections go in by the script's text, never by argv: another user of the host
could read the word there and forge a section.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import cache
from pathlib import Path
from typing import Literal

from deployer.dataclass import dataclass
from deployer.engine.answered import parse_answered, parse_proven
from deployer.engine.flag_files import parse_flag_file
from deployer.engine.probe_copies import parse_copies
from deployer.engine.probe_folders import parse_folders
from deployer.engine.probe_gpus import gpu_facts
from deployer.engine.probe_models import with_models
from deployer.engine.profile_files import parse_profile_file
from deployer.engine.project_record import parse_record
from deployer.formats import linux
from deployer.formats.nvidia_smi import APPS, QUERIES, ROWS
from deployer.formats.sockets import ListeningSocket, SocketOwner, parse_socket_fds, parse_sockets, parse_ss
from deployer.formats.text import decoded, one_line, whole_number
from deployer.values.codec import parse_json
from deployer.values.facts import Disk, ImageFlags, PathFact
from deployer.values.gpu_facts import GpuFacts
from deployer.values.names import STATE_DIR
from deployer.values.nim import ImageProfiles
from deployer.values.presynced import Copy
from deployer.values.records import LockFact, ProjectRecord, Proven
from deployer.values.tools import TOOLS

Kind = Literal["file", "directory", "missing", "denied", "other"]
KINDS: dict[str, Kind] = {"file": "file", "directory": "directory", "missing": "missing", "denied": "denied"}


@dataclass(frozen=True, slots=True)
class Section:
    words: tuple[str, ...]  # what follows its name in the heading
    body: bytes

    @property
    def text(self) -> str:
        return decoded(self.body)


@dataclass(frozen=True, slots=True)
class Probed:
    """All that the probe says of a host, parsed."""

    uname: linux.Uname
    user: linux.UserIdentity
    os: str
    cpus: int
    memory: tuple[int, int]  # total, available
    time: str
    sockets: tuple[ListeningSocket, ...]
    owners: Mapping[int, SocketOwner]  # by inode
    containers: Mapping[int, tuple[str, ...]]  # by pid
    gpu: GpuFacts
    paths: Mapping[str, PathFact]
    disks: tuple[Disk, ...]
    state_writable: bool
    ephemeral_ports: tuple[int, int] = (32768, 60999)
    sshd: Mapping[str, str] = field(default_factory=dict)
    locks: tuple[LockFact, ...] = ()
    records: tuple[ProjectRecord, ...] = ()
    answered: Mapping[str, float | None] = field(default_factory=dict)  # by container id
    proven: tuple[Proven, ...] = ()
    sshd_readable: bool | None = None
    distribution: tuple[str, ...] = ()
    tools: Mapping[str, bool] = field(default_factory=dict)
    clock_skew: int | None = None
    folders: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)
    image_flags: tuple[ImageFlags, ...] = ()
    nim_profiles: tuple[ImageProfiles, ...] = ()
    copies: tuple[Copy, ...] = ()
    late_mounts: tuple[str, ...] = ()


def asked_paths(paths: Sequence[str]) -> tuple[str, ...]:
    """Those of the paths that can be looked at: absolute or below `~`, without NUL."""
    return tuple(dict.fromkeys(p for p in paths if p.startswith(("/", "~")) and "\0" not in p))


@dataclass(frozen=True, slots=True)
class Asked:
    """What a host is asked beyond the usual. Of `disks` only the disk under them; of `folders` their files' sizes and
    times; `copies`: places where models may lie."""

    paths: tuple[str, ...] = ()
    disks: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()


def probe_script(
    marker: str,
    paths: Sequence[str],
    *,
    gpus: bool = True,
    disks: Sequence[str] = (),
    folders: Sequence[str] = (),
    copies: Sequence[str] = (),
) -> bytes:
    """The script for `sh -s`; `marker` is a random word, `paths` come from `asked_paths`."""
    settings = {
        "M": marker,
        "GPU": "yes" if gpus else "no",
        "STATE": STATE_DIR,
        "QUERIES": " ".join(",".join(fields) for fields in QUERIES),
        "APPS": ",".join(APPS),
        "ROWS": ",".join(ROWS),
        "TOOLS": " ".join(TOOLS),
        "LOOKED": str(len(paths)),
    }
    head = "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())
    for name, verb, places in (("folders", "stamps", folders), ("copies", "search", copies)):
        head += f"{name}() {{ {shlex.join((verb, *places)) if places else ':'}; }}\n"
    tail = "main " + " ".join(map(shlex.quote, (*paths, *disks))) + " </dev/null 2>/dev/null\n"
    return (head + script_body() + tail).encode("utf-8", "surrogateescape")


@cache
def script_body() -> str:
    return Path(__file__).with_name("probe.sh").read_text("utf-8")


def parse_sections(output: bytes, marker: str) -> dict[str, tuple[Section, ...]]:
    """The sections by name, in their order. ValueError when the output is cut short."""
    found: dict[str, list[Section]] = {}
    for part in (b"\n" + output).split(f"\n{marker} ".encode())[1:]:
        heading, _, body = part.partition(b"\n")
        name, *words = decoded(heading[:4096]).split(" ")
        found.setdefault(name, []).append(Section(tuple(words), body))
    if "end" not in found:
        raise ValueError("the answer of the probe is cut short")
    return {name: tuple(sections) for name, sections in found.items()}


def parse_probe(
    output: bytes,
    marker: str,
    paths: Sequence[str],
    disks: Sequence[str] = (),
    folders: Sequence[str] = (),
    copies: Sequence[str] = (),
) -> Probed:
    """What the script of the same marker and paths answered. ValueError where it does not say the least there is."""
    sections = parse_sections(output, marker)

    def text(name: str) -> str:
        return "\n".join(section.text for section in sections.get(name, ()))

    uname, user = linux.parse_uname(text("uname")), linux.parse_identity(text("id"))
    if uname is None or user is None:
        raise ValueError("the host does not say who it is (`uname`, `id`)")
    return Probed(
        uname=uname,
        user=user,
        os=linux.parse_os_release(text("os")),
        cpus=linux.parse_cpus(text("cpus")) or 1,
        memory=linux.parse_meminfo(text("memory")),
        time=one_line(text("time"), 40),
        sockets=parse_sockets(text("sockets")),
        owners=parse_ss(text("ss")) if "ss" in sections else parse_socket_fds(text("fds")),
        containers=linux.parse_cgroups(text("cgroups")),
        gpu=gpu_facts({name: tuple((s.words, s.text) for s in found) for name, found in sections.items()}),
        paths=with_models(
            _paths(sections.get("path", ()), paths),
            {name: [(s.words, s.body) for s in sections.get(name, ())] for name in ("gguf", "config")},
            paths,
        ),
        disks=_disks(sections.get("disk", ()), (*paths, *disks)),
        state_writable=text("state").strip() == "writable",
        ephemeral_ports=linux.parse_port_range(text("ephemeral")) or (32768, 60999),
        sshd=linux.parse_sshd(text("sshd")),
        locks=tuple(_lock(section) for section in sections.get("lock", ())),
        records=_records(sections.get("record", ())),
        answered={id: took for s in sections.get("answered", ()) for id, took in parse_answered(s.body).items()},
        proven=tuple(p for s in sections.get("answered", ()) for p in parse_proven(" ".join(s.words), s.body)),
        sshd_readable=sections["sshd"][0].words == ("read",) if "sshd" in sections else None,
        distribution=linux.parse_distribution(text("os")),
        tools=_tools(sections),
        folders=parse_folders(text("folders"), folders),
        late_mounts=linux.parse_late_mounts(text("fstab"), text("docker-waits")),
        image_flags=tuple(known for s in sections.get("flags", ()) if (known := parse_flag_file(s.words, s.body))),
        nim_profiles=tuple(
            listed for s in sections.get("profiles", ()) if (listed := parse_profile_file(s.words, s.body))
        ),
        copies=parse_copies({n: [(s.words, s.body) for s in found] for n, found in sections.items()}, copies),
    )


def _tools(sections: Mapping[str, tuple[Section, ...]]) -> dict[str, bool]:
    if "tools" not in sections:
        return {}
    found = sections["tools"][0].text.split()
    return {tool: tool in found for tool in TOOLS}


def _paths(sections: Sequence[Section], paths: Sequence[str]) -> dict[str, PathFact]:
    found = {}
    for section in sections:
        number, kind, size, may = (*section.words, "", "", "", "")[:4]
        position = whole_number(number, len(paths) - 1) if paths else None
        if position is None:
            continue
        names = [_file_name(name) for name in section.body.split(b"\0")[:-1]]
        entries = tuple(names[1:1001])
        found[paths[position]] = PathFact(
            paths[position],
            KINDS.get(kind, "other"),
            whole_number(size),
            entries,
            names[0] if names else None,
            {"w": True, "r": False}.get(may),
        )
    return found


def _file_name(name: bytes) -> str:
    return name.decode("utf-8", "replace")[:4096]


def _disks(sections: Sequence[Section], paths: Sequence[str]) -> tuple[Disk, ...]:
    found = []
    for section in sections:
        position = whole_number(section.words[0], len(paths) - 1) if section.words and paths else None
        known = linux.parse_df(section.text)
        if position is not None and known is not None:
            found.append(Disk(paths[position], known.mount, known.total, known.free, known.server))
    return tuple(found)


def _records(sections: Sequence[Section]) -> tuple[ProjectRecord, ...]:
    """Those that can be read and lie where their project's record belongs."""
    found = ((" ".join(section.words), parse_record(section.body)) for section in sections)
    return tuple(record for folder, record in found if record is not None and record.project == folder)


def _lock(section: Section) -> LockFact:
    """A lock file, by whatever version of deployer (or whoever) wrote it."""
    try:
        data = parse_json(section.body.strip(), 4096)
    except ValueError:
        data = None
    said = {k: one_line(str(v)) for k, v in data.items()} if isinstance(data, dict) else {}
    project = one_line(" ".join(section.words))
    return LockFact(project, said.get("holder", ""), said.get("since", ""), said.get("expires", ""))
