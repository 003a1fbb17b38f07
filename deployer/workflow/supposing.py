"""`plan --what-if`: the plan for recorded facts, and the one for facts and a spec as they would be. Touches no host."""

from __future__ import annotations

from collections.abc import Iterable

from deployer.dataclass import dataclass, replace
from deployer.errors import DeployerError, Diagnostic
from deployer.formats.model_config import parse_model_config
from deployer.planning.planner import plan
from deployer.planning.selection import selection_of
from deployer.planning.supposed import Difference, Supposed, differences, supposed_facts, supposed_listings
from deployer.planning.what_if import HostHas, HostLost, ModelIs, Settings, Supposition, fragment, supposed_words
from deployer.spec.project import Project
from deployer.values.model_shape import ModelShape
from deployer.values.plan import Plan
from deployer.values.resolved import Resolved
from deployer.workflow.estimating import gpu_of
from deployer.workflow.inputs import Inputs, load, plan_recorded, read_inside, recorded_state


@dataclass(frozen=True, slots=True)
class WhatIf:
    """`plan`: as it would be; `differences`: from the plan for things as they are."""

    supposed: tuple[str, ...]
    plan: Plan
    differences: tuple[Difference, ...]


def plan_supposed(inputs: Inputs, facts: bytes, suppositions: Iterable[Supposition]) -> WhatIf:
    """DeployerError where what is supposed is of things that are not there; SpecError as of the spec itself."""
    wanted = tuple(suppositions)
    now = load(inputs, confined=True)
    _check(now, wanted)
    before = plan_recorded(inputs, facts)
    project = load_supposed(inputs, wanted)
    what = _meant(now, project, wanted)
    observed = supposed_facts(project, recorded_state(facts), what)
    resolved = Resolved(listings=supposed_listings(project, what), images=project.lock.images)
    after = plan(project, observed, resolved, selection_of(project.spec, inputs.limit, inputs.target))
    return WhatIf(tuple(map(supposed_words, wanted)), after, differences(before, after))


def load_supposed(inputs: Inputs, wanted: tuple[Supposition, ...]) -> Project:
    """The spec with what is supposed of it merged over it."""
    texts = {f"what-if-{number}": fragment(one) for number, one in enumerate(wanted, 1)}
    fragments = {name: text.encode() for name, text in texts.items() if text is not None}

    def read(path: str) -> bytes:
        return fragments[path] if path in fragments else read_inside(path)

    return load(replace(inputs, files=(*inputs.files, *fragments)), confined=True, read=read)


def _check(project: Project, wanted: tuple[Supposition, ...]) -> None:
    """That what is lost is there now."""
    for one in wanted:
        if isinstance(one, HostLost) and one.host not in project.spec.hosts:
            hint = "there are " + ", ".join(f"`{name}`" for name in sorted(project.spec.hosts)[:10])
            raise DeployerError(Diagnostic("unknown-host", f"there is no host `{one.host}` to lose", hint=hint))


def _meant(now: Project, project: Project, wanted: tuple[Supposition, ...]) -> Supposed:
    shapes = {one.model: _shape(project, one) for one in wanted if isinstance(one, ModelIs)}
    new = project.spec.models.keys() - now.spec.models.keys()
    named = {one.name for one in wanted if isinstance(one, Settings) and one.section == "models"}
    return Supposed(
        lost=frozenset(one.host for one in wanted if isinstance(one, HostLost)),
        cards={one.host: (one.count, gpu_of(one.gpu)) for one in wanted if isinstance(one, HostHas)},
        shapes=shapes,
        models=frozenset(new | named | shapes.keys()),
    )


def _shape(project: Project, one: ModelIs) -> ModelShape:
    if one.model not in project.spec.models:
        hint = f"add `--what-if 'model {one.model}: {{source: hf://...}}'`"
        raise DeployerError(Diagnostic("unknown-model", f"there is no model `{one.model}`", hint=hint))
    try:
        return parse_model_config(read_inside(one.file))
    except OSError as error:
        message = f"`{one.file}` cannot be read: {error.strerror}"
        raise DeployerError(Diagnostic("cannot-read", message, hint="name a config.json in this folder")) from None
    except ValueError as error:
        message = f"`{one.file}` is not what its name says: {error}"
        raise DeployerError(Diagnostic("bad-model-file", message, hint="name a config.json")) from None
