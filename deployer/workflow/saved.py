"""Saved plans: the plan with all it was made from, so that it can be made again and compared.

A file is trusted for nothing: its spec is loaded and its plan is made anew. Connections and secrets never come from it.
"""

from __future__ import annotations

import base64
import binascii
import posixpath
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

from deployer.dataclass import dataclass
from deployer.errors import DeployerError, Diagnostic, RefusedError
from deployer.values.canonical import digest
from deployer.values.codec import from_data, parse_json, to_data
from deployer.values.image_content import ResolvedImage
from deployer.values.weights import Listing
from deployer.workflow.inputs import Inputs, load
from deployer.workflow.sources import Sources

if TYPE_CHECKING:
    from deployer.spec.project import Project
    from deployer.workflow.session import Planned

FORMAT = 1
MOST = 256 << 20  # bytes of a plan file: facts of a thousand hosts are some 30 MB


@dataclass(frozen=True, slots=True)
class SavedSpec:
    """What a command line named, and the texts it found there. `variables` are those the spec declares."""

    files: tuple[str, ...]
    inventories: tuple[str, ...]
    variables: Mapping[str, str]
    home: str
    limit: tuple[str, ...]
    target: tuple[str, ...]
    sources: Mapping[str, str]  # path -> base64
    resume: bool = False


@dataclass(frozen=True, slots=True)
class Carried:
    """The part of a plan file that only deployer reads."""

    format: int
    spec: SavedSpec
    observed: Any
    secrets: Mapping[str, str]  # fingerprints of those that were at hand
    plan: str  # digest
    setup: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)  # what running containers said
    listings: Mapping[str, Listing] = field(default_factory=dict)  # what the sources of models had
    images: Mapping[str, ResolvedImage] = field(default_factory=dict)  # what registries and archives had
    layers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of images, by host


def carried(inputs: Inputs, sources: Sources, planned: Planned) -> dict[str, Any]:
    """What a plan file holds besides the plan that people and programs read."""
    from deployer.values.facts_json import facts_to_data
    from deployer.workflow.inputs import environment_variables

    refuse_foreign_inventory(inputs, sources, planned.project)
    given = {**environment_variables(inputs.environment), **inputs.variables}
    spec = SavedSpec(
        inputs.files,
        inputs.inventories,
        {name: value for name, value in given.items() if name in planned.project.spec.vars},
        inputs.environment.get("HOME", "~"),
        inputs.limit,
        inputs.target,
        {path: base64.b64encode(content).decode() for path, content in sources.files.items()},
        inputs.resume,
    )
    known = {name: value for name, value in planned.resolved.secrets.items() if isinstance(value, str)}
    resolved = planned.resolved
    listings = {name: found for name, found in resolved.listings.items() if isinstance(found, Listing)}
    images = {name: found for name, found in resolved.images.items() if isinstance(found, ResolvedImage)}
    made = digest(to_data(planned.plan))
    observed = facts_to_data(planned.observed)
    body = Carried(FORMAT, spec, observed, known, made, resolved.setup, listings, images, resolved.layers)
    data: dict[str, Any] = to_data(body)
    return data


def refuse_foreign_inventory(inputs: Inputs, sources: Sources, project: Project) -> None:
    """DeployerError where an inventory is Ansible's: its files hold variables of others, passwords among them, and a
    plan file would carry them."""
    from deployer.spec.ansible.detect import Written, written_as

    folders = {posixpath.dirname(file) for file in inputs.files}
    named = {posixpath.normpath(posixpath.join(folder, i)) for folder in folders for i in project.spec.inventory}
    for path in sorted(named | set(inputs.inventories)):
        if path in sources.files and written_as(sources.files[path], path) is not Written.OWN:
            message = (
                f"a plan cannot be saved while `{path}` is an inventory of Ansible's: the file would carry all of it"
            )
            hint = "apply without saving, or write the hosts into an inventory of deployer's"
            raise DeployerError(Diagnostic("not-supported-yet", message, hint=hint))


def replan(text: bytes) -> tuple[Planned, dict[str, Any]]:
    """The plan of a file, made anew from what the file carries, and the file's public part.

    Raises RefusedError where the file is damaged, another deployer's, or not its own result.
    """
    from deployer.planning.planner import plan
    from deployer.planning.selection import selection_of
    from deployer.values.facts_json import facts_from_data
    from deployer.values.resolved import Resolved, Unresolved
    from deployer.workflow.session import Planned

    document, body = _parse(text)
    try:
        observed = facts_from_data(body.observed)
        project = _project(body.spec)
    except ValueError as error:
        raise _refused("plan-damaged", f"the saved plan cannot be read: {error}") from None
    names = project.spec.secrets
    known = {n: body.secrets.get(n, Unresolved("was not at hand for the plan")) for n in names}
    resolved = Resolved(known, body.setup, body.listings, body.images, body.layers)
    selection = selection_of(project.spec, body.spec.limit, body.spec.target)
    made = plan(project, observed, resolved, selection, resume=body.spec.resume)
    if digest(to_data(made)) != body.plan:
        raise _refused("plan-not-its-own", "the saved plan is not what its spec and facts give")
    chosen = (body.spec.limit, body.spec.target)
    return Planned(project, observed, resolved, made, saved_selection=chosen, resumes=body.spec.resume), document


def _parse(text: bytes) -> tuple[dict[str, Any], Carried]:
    from deployer import __version__

    try:
        document = parse_json(text, MOST)
        if not isinstance(document, dict) or "carried" not in document:
            raise ValueError("it was not written by `deployer plan -o`")
        made_by = document.get("deployer")
        if made_by != __version__:
            raise _refused("plan-of-another-version", f"the plan was made by deployer {str(made_by)[:20]}")
        return document, from_data(Carried, document.pop("carried"))
    except ValueError as error:
        raise _refused("plan-damaged", f"the saved plan cannot be read: {error}") from None


def _project(spec: SavedSpec) -> Project:
    try:
        sources = Sources({path: base64.b64decode(data, validate=True) for path, data in spec.sources.items()})
    except binascii.Error as error:
        raise ValueError(f"a file in it is damaged: {error}") from None
    inputs = Inputs(spec.files, spec.inventories, spec.variables, {"HOME": spec.home})
    return load(inputs, read=sources.replay)


def _refused(code: str, message: str) -> RefusedError:
    return RefusedError(Diagnostic(code, message, hint="make a new one with `deployer plan -o FILE`"))


def refuse_other_project(saved: Planned, at_hand: Project) -> None:
    """RefusedError unless the spec at hand is of the same project and reaches every host of the saved one."""
    ours, theirs = at_hand.spec, saved.project.spec
    if (ours.project, ours.id) != (theirs.project, theirs.id):
        raise _refused("plan-of-another-project", f"the plan is for project `{theirs.project}`, not `{ours.project}`")
    missing = sorted(set(theirs.hosts) - set(ours.hosts))
    if missing:
        raise _refused("plan-of-another-project", f"the spec at hand has no host `{missing[0]}`, which the plan needs")
