"""Copies of models that were on a host before deployer: where they may be, and whether one is what a manifest asks for.
Pure; a copy is judged by what was seen and read of it, never by what it is called."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from deployer.dataclass import dataclass
from deployer.formats.text import one_line
from deployer.planning.render_request import Cached, ModelFacts
from deployer.planning.weights import CODE, first_part
from deployer.spec.language import Host, Model
from deployer.values.facts import HostFacts
from deployer.values.presynced import ALTERED, OUTSIDE, Copy
from deployer.values.weights import Manifest, WeightFile

NAMED = ("hf", "modelscope")  # sources whose models have an owner and a name, by which tools lay them out
SHARD = re.compile(r"(?P<stem>.*)-(?P<part>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.[a-z]+)\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class InPlace:
    """A copy that may serve. `unread`: those of the manifest's files that nobody has read as they are now."""

    copy: Copy
    unread: tuple[str, ...]


def places_asked(host: Host, models: Iterable[Model]) -> tuple[str, ...]:
    """Where copies may be; `~` is the home of the host's user."""
    found = (place for model in models for place in _places(host, model))
    return tuple(dict.fromkeys(found))


def _places(host: Host, model: Model) -> Iterator[str]:
    for folder in host.model_dirs:
        for source in model.source:
            scheme, _, name = source.partition("://")
            if scheme in NAMED and ".." not in name:
                yield from (posixpath.normpath(posixpath.join(folder, below)) for below in layouts(name))


def layouts(name: str) -> Iterator[str]:
    """The Hub's own (huggingface_hub.constants: HF_HUB_CACHE is HF_HOME/hub), plain folders, and ModelScope's
    (modelscope.hub.utils: MODELSCOPE_CACHE/hub/models/OWNER/NAME, with `___` for the dots of a name)."""
    hub, masked = "--".join(("models", *name.split("/"))), name.replace(".", "___")
    yield from (hub, posixpath.join("hub", hub), name)
    yield from (posixpath.join(above, name) for above in ("models", "hub/models", "hub"))
    if masked != name:
        yield from (posixpath.join(above, masked) for above in ("", "models", "hub/models", "hub"))
    yield posixpath.basename(name)


def copies_of(model: Model, host: Host, facts: HostFacts) -> tuple[Copy, ...]:
    """Those that are there, in the order of `model_dirs`; a snapshot that a branch means before others."""
    order = {place: index for index, place in enumerate(_places(host, model))} if facts.copies else {}
    mine = [copy for copy in facts.copies if copy.asked in order]
    return tuple(sorted(mine, key=lambda c: (order[c.asked], c.commit not in c.refs.values(), c.folder)))


def judge(manifest: Manifest, copy: Copy) -> InPlace | str:
    """Whether the copy may be used for the manifest; else why it is none."""
    is_snapshot = bool(copy.commit) and manifest.source.startswith("hf://")
    if is_snapshot and copy.commit != manifest.commit:
        return f"it is of commit {copy.commit[:12]}, not {manifest.commit[:12]}"
    wrong = next((why for file in manifest.files if (why := _why_not(file, copy)) is not None), None)
    if wrong is not None:
        return wrong
    mine = {file.path for file in manifest.files}
    programs = [path for path in sorted(copy.files) if fnmatchcase(path, CODE) and path not in mine]
    if programs:
        return f"it has the program `{one_line(programs[0], 100)}`, which is none of the model's files"
    return InPlace(copy, tuple(file.path for file in manifest.files if copy.current(file.path) is None))


def _why_not(file: WeightFile, copy: Copy) -> str | None:
    stamp, name = copy.files.get(file.path), f"`{one_line(file.path, 100)}`"
    if stamp is None:
        return f"it lacks {name}"
    if stamp.size != file.size:
        return f"{name} has {stamp.size} bytes, not {file.size}"
    read = copy.current(file.path)
    if read is None:
        return None
    if read.sha256 == OUTSIDE:
        return f"{name} is a link that leads out of `{copy.root}`"
    if read.sha256 == ALTERED:
        return f"{name} has other content than when it was first read"
    is_other = file.sha256 not in (None, read.sha256) or bool(file.git and read.git and file.git != read.git)
    return f"{name} has other content than its source" if is_other else None


def find_in_place(manifest: Manifest, model: Model, host: Host, facts: HostFacts) -> InPlace | None:
    """The best copy on this host: one that was read, else the first."""
    judged = (judge(manifest, copy) for copy in copies_of(model, host, facts))
    usable = [found for found in judged if isinstance(found, InPlace)]
    return min(usable, key=lambda found: bool(found.unread), default=None)


def refused_copies(manifest: Manifest, model: Model, host: Host, facts: HostFacts) -> Iterator[tuple[Copy, str]]:
    """Each copy that is not used, and why."""
    for copy in copies_of(model, host, facts):
        why = judge(manifest, copy)
        if isinstance(why, str):
            yield copy, why


def located_in_place(manifest: Manifest, found: InPlace, inputs: str) -> ModelFacts:
    copy = found.copy
    cached = Cached(copy.root, manifest.id, manifest.commit, inputs, manifest, copy.folder, found.unread)
    parts = tuple(posixpath.join(copy.folder, part) for part in first_part(manifest))
    return ModelFacts(parts[0] if parts else copy.folder, "file" if parts else "directory", parts, cached)


def lacks_parts(copy: Copy) -> str | None:
    """The first file that the others' names say must be there."""
    for path in sorted(copy.files):
        match = SHARD.match(path)
        if match is not None and int(match["count"]) <= len(copy.files) + 1000:
            for part in range(1, int(match["count"]) + 1):
                name = f"{match['stem']}-{part:05}-of-{match['count']}{match['suffix']}"
                if name not in copy.files:
                    return name
    return None
