"""What a command line says about the spec, and the spec it names; nothing here reaches a host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from errno import ELOOP
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from deployer.dataclass import dataclass, replace

if TYPE_CHECKING:
    from deployer.spec.project import Project
    from deployer.values.facts import ObservedState
    from deployer.values.plan import Plan
    from deployer.weights.bundles.using import InUse

PREFIX = "DEPLOYER_VAR_"
MOST_READ = 4 << 20  # bytes
MOST_ENTRIES = 20_000  # of a folder


@dataclass(frozen=True, slots=True)
class Inputs:
    """Paths and names as typed; `environment` is the process's own."""

    files: tuple[str, ...] = ("deploy.yaml",)
    inventories: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    ssh_config: str | None = None
    limit: tuple[str, ...] = ()  # hosts and groups
    target: tuple[str, ...] = ()  # services
    locked: bool = False  # refuse what deploy.lock does not hold
    resume: bool = False  # what was rolled back moves on
    offline: bool = False  # refuse what would leave the given hosts
    bundle: InUse | None = None  # that brings weights and images
    texts: Mapping[str, bytes] = field(default_factory=dict)  # of files, in the place of what they hold on disk


def load(inputs: Inputs, *, confined: bool = False, read: Callable[[str], bytes] | None = None) -> Project:
    """SpecError with every error of every file. `confined`: reads nothing outside the folder it is run in; `read`
    takes the place of reading from disk."""
    from deployer.spec.load import LoadOptions
    from deployer.spec.load import load as load_files

    options = LoadOptions(
        variables={**environment_variables(inputs.environment), **inputs.variables},
        inventories=inputs.inventories,
        user_home=inputs.environment.get("HOME", "~"),
        confined=confined,
    )
    reading = _instead(inputs.texts, _of_bundle(inputs) or read or (read_inside if confined else read_file))
    project = load_files(inputs.files, reading, options)
    from deployer.workflow.locking import read_lock, refuse_unlocked

    project = replace(project, lock=read_lock(inputs, reading))
    if inputs.locked:
        refuse_unlocked(project, inputs.files[0])
    return project


def _instead(texts: Mapping[str, bytes], read: Callable[[str], bytes]) -> Callable[[str], bytes]:
    return (lambda path: texts[path] if path in texts else read(path)) if texts else read


def _of_bundle(inputs: Inputs) -> Callable[[str], bytes] | None:
    """Reads the spec that a bundle brings; None where there is none, or the one at hand counts."""
    if inputs.bundle is None or not inputs.bundle.brings_spec:
        return None
    theirs = inputs.bundle.bundle.spec.inventories
    given = {path: f"{Path(path).parent}/" for path in inputs.inventories if path not in theirs}
    return inputs.bundle.reader(inputs.environment.get("HOME", "~"), read_file, given)


def read_file(path: str) -> bytes:
    """At most a little more than any file may have, so that what is too large is seen to be; of a path that ends in
    `/` the names in that folder, one a line. Raises OSError."""
    if path.endswith("/"):
        names = islice((entry.name for entry in Path(path).iterdir()), MOST_ENTRIES)
        return "\n".join(names).encode("utf-8", "replace")
    with Path(path).open("rb") as file:
        return file.read(MOST_READ)


def read_inside(path: str) -> bytes:
    """As `read_file`, but refuses a link that leads out of the current folder, or out of its own where the command
    line named one elsewhere: a stranger's spec may hold such a link."""
    named_elsewhere = Path(path).is_absolute() or ".." in Path(path).parts
    folder = Path(path).parent if named_elsewhere else Path.cwd()
    if not Path(path).resolve().is_relative_to(folder.resolve()):
        raise OSError(ELOOP, "it is a link that leads out of its folder")
    return read_file(path)


def environment_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """DEPLOYER_VAR_MY_TAG sets `my_tag` and `my-tag`, and `MY_TAG` as it is written."""
    found: dict[str, str] = {}
    for name, value in sorted(environment.items()):
        if name.startswith(PREFIX):
            written = name.removeprefix(PREFIX)
            found |= {variable: value for variable in (written.lower(), written.lower().replace("_", "-"), written)}
    return found


def plan_assumed(inputs: Inputs) -> Plan:
    """The plan for hosts that nobody asked: what a spec says of them, with every model in its place."""
    from deployer.planning.assumed import assume_facts, assume_listings
    from deployer.planning.planner import plan
    from deployer.values.resolved import Resolved

    project = load(inputs, confined=True)
    return plan(project, assume_facts(project), Resolved(listings=assume_listings(project)))


def plan_recorded(inputs: Inputs, facts: bytes) -> Plan:
    """The plan for recorded facts: touches no host, runs no command, knows no secret. SpecError, DeployerError."""
    from deployer.planning.found import with_found
    from deployer.planning.planner import plan
    from deployer.planning.selection import selection_of
    from deployer.values.resolved import Resolved

    project = load(inputs, confined=True)
    observed = recorded_state(facts)
    listings = with_found(project, project.lock.listings(), observed.reachable)
    resolved = Resolved(listings=listings, images=project.lock.images)
    chosen = selection_of(project.spec, inputs.limit, inputs.target)
    return plan(project, observed, resolved, chosen, resume=inputs.resume)


def recorded_state(facts: bytes) -> ObservedState:
    """DeployerError where that is not what `deployer facts` writes."""
    from deployer.errors import DeployerError, Diagnostic
    from deployer.values.codec import parse_json
    from deployer.values.facts_json import facts_from_data

    try:
        return facts_from_data(parse_json(facts, 256 << 20))
    except ValueError as error:
        hint = "record them with `deployer facts -o FILE`"
        raise DeployerError(Diagnostic("bad-facts", f"the recorded facts cannot be read: {error}", hint=hint)) from None
