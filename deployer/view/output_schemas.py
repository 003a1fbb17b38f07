"""JSON Schemas of what commands print with `--json`. Keys may be added within a format version, never taken away."""

from __future__ import annotations

from typing import Any

from deployer.values.checks import Verdict
from deployer.values.estimate import Fit
from deployer.values.facts import ContainerStatus
from deployer.values.plan import Action, Cause

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
MAYBE_TEXT: Schema = {"type": ["string", "null"]}
MAYBE_COUNT: Schema = {"type": ["integer", "null"], "minimum": 0}
FORMAT: Schema = {"const": 1}


def output_schema(name: str) -> Schema:
    """Of a command by its name, `events` (one line of `apply --json`) or `problems` (what any command prints on
    failure)."""
    known = {"plan": PLAN, "status": STATUS, "doctor": DOCTOR, "verify": VERIFY, "query": QUERY}
    known |= {"history": HISTORY, "force-unlock": UNLOCKED, "estimate": ESTIMATE, "nim-profiles": NIM_PROFILES}
    known |= {"bundle": BUNDLE}
    found = (known | {"events": EVENT, "problems": PROBLEMS})[name]
    return {"$schema": DIALECT, "title": f"deployer {name}", **found}


def _object(**properties: Schema) -> Schema:
    """All of the properties are required; others may come."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _map(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def _one_of(*words: str) -> Schema:
    return {"enum": list(words)}


WHERE: Schema = {
    "oneOf": [{"type": "null"}, _object(file=TEXT, line=COUNT, column=COUNT, key=TEXT)],
}
DIAGNOSTIC = _object(
    severity=_one_of("error", "warning", "info"),
    code=TEXT,
    message=TEXT,
    where=WHERE,
    evidence=_list(TEXT),
    hint=MAYBE_TEXT,
    host=MAYBE_TEXT,
)
PROBLEMS = _object(format_version=FORMAT, problems=_list(DIAGNOSTIC))
OPERATION = _object(host=TEXT, op=TEXT, what=TEXT)
HOLD = _object(service=TEXT, who=TEXT, since=TEXT, why=TEXT, apply=TEXT)
DOWN: Schema = {
    "oneOf": [
        {"type": "null"},
        _object(seconds={"type": "number"}, measured={"type": "boolean"}, allowed={"type": ["number", "null"]}),
    ]
}
PLAN = _object(
    format_version=FORMAT,
    deployer=TEXT,
    project=TEXT,
    id=MAYBE_TEXT,
    spec_digest=TEXT,
    hosts=_map({"oneOf": [_object(used={"type": "object"}, used_digest=TEXT), _object(unreachable=TEXT)]}),
    summary=_object(**{action.value: COUNT for action in Action}),
    placements=_list(
        _object(
            service=TEXT,
            replica=COUNT,
            members=_list(_object(rank=COUNT, role=TEXT, host=TEXT, gpus=_list(TEXT), port=MAYBE_COUNT)),
            url=MAYBE_TEXT,
        )
    ),
    changes=_list(
        _object(
            service=TEXT,
            replica=COUNT,
            host=TEXT,
            from_host=MAYBE_TEXT,
            container=MAYBE_TEXT,
            action=_one_of(*(action.value for action in Action)),
            cause=_one_of(*(cause.value for cause in Cause)),
            reasons=_list(_object(code=TEXT, message=TEXT)),
            diff=_list(_object(path=TEXT, before={}, after={})),
        )
    ),
    steps=_list(
        _object(
            id=TEXT,
            host=TEXT,
            op=TEXT,
            what=TEXT,
            needs=_list(TEXT),
            on_failure=_list(OPERATION),
            reverts=_list(OPERATION),
            why=TEXT,
            bytes=MAYBE_COUNT,
        )
    ),
    rollout=_object(
        downtime={"type": "boolean"},
        min_ready=_map(COUNT),
        services=_map(
            _object(
                ready_before=COUNT,
                min_ready=COUNT,
                desired=COUNT,
                downtime={"type": "boolean"},
                down_for=DOWN,
            )
        ),
    ),
    problems=_list(DIAGNOSTIC),
)
VERIFY = _object(
    format_version=FORMAT,
    replicas=_list(
        _object(
            service=TEXT,
            replica=COUNT,
            host=MAYBE_TEXT,
            container=MAYBE_TEXT,
            ok={"type": "boolean"},
            answer=MAYBE_TEXT,
            seconds={"type": "number", "minimum": 0},
            problem={"oneOf": [{"type": "null"}, DIAGNOSTIC]},
        )
    ),
)
QUERY = _object(format_version=FORMAT, service=TEXT, answer=TEXT)
STATES = (*ContainerStatus.__args__, "missing", "unknown")  # type: ignore[attr-defined]
STATUS = _object(
    format_version=FORMAT,
    project=TEXT,
    services=_map(
        _object(
            model=MAYBE_TEXT,
            backend=MAYBE_TEXT,
            desired=COUNT,
            ready=COUNT,
            held={"oneOf": [{"type": "null"}, HOLD]},
            replicas=_list(
                _object(
                    replica=COUNT,
                    host=MAYBE_TEXT,
                    container=MAYBE_TEXT,
                    state=_one_of(*STATES),
                    health=MAYBE_TEXT,
                    gpus=_list(TEXT),
                    gpu_memory=_list(_object(gpu=TEXT, used=MAYBE_COUNT, estimated=MAYBE_COUNT)),
                    url=MAYBE_TEXT,
                    restarts=COUNT,
                    since=MAYBE_TEXT,
                    drift=MAYBE_TEXT,
                    pending=MAYBE_TEXT,
                    answers=MAYBE_TEXT,
                )
            ),
        )
    ),
)
ESTIMATE = _object(
    format_version=FORMAT,
    model=TEXT,
    params=MAYBE_COUNT,
    backend=TEXT,
    gpu=MAYBE_TEXT,
    count=COUNT,
    tensor_parallel=COUNT,
    pipeline_parallel=COUNT,
    context=MAYBE_COUNT,
    concurrency=COUNT,
    kv_bytes_per_token=MAYBE_COUNT,
    per_gpu=_object(
        weights=MAYBE_COUNT,
        kv_cache=MAYBE_COUNT,
        activation=MAYBE_COUNT,
        graphs=MAYBE_COUNT,
        overhead=MAYBE_COUNT,
        lora=COUNT,
        need=MAYBE_COUNT,
        band={"type": ["array", "null"], "items": COUNT},
        budget=MAYBE_COUNT,
    ),
    max_context=MAYBE_COUNT,
    verdict=_one_of(*(fit.value for fit in Fit)),
    fits_on=_list(
        _object(
            gpu=TEXT,
            tensor_parallel=COUNT,
            pipeline_parallel=COUNT,
            max_context=COUNT,
            verdict=_one_of(*(fit.value for fit in Fit)),
        )
    ),
    reasons=_list(_object(code=TEXT, message=TEXT, severity=_one_of("error", "warning", "info"), hint=MAYBE_TEXT)),
)
NIM_PROFILES = _object(
    format_version=FORMAT,
    service=TEXT,
    hosts=_list(
        _object(
            host=MAYBE_TEXT,
            image=MAYBE_TEXT,
            gpus=_list(TEXT),
            asked=MAYBE_TEXT,
            written=MAYBE_TEXT,
            taken={"oneOf": [{"type": "null"}, _object(id=TEXT, name=TEXT)]},
            profiles=_list(
                _object(
                    id=TEXT,
                    name=TEXT,
                    compatible={"type": "boolean"},
                    reasons=_list(TEXT),
                    backend=MAYBE_TEXT,
                    gpu=MAYBE_TEXT,
                    precision=MAYBE_TEXT,
                    tensor_parallel=MAYBE_COUNT,
                    pipeline_parallel=MAYBE_COUNT,
                    goal=MAYBE_TEXT,
                    lora={"type": "boolean"},
                    buildable={"type": "boolean"},
                    memory=MAYBE_COUNT,
                    said=_one_of("runnable", "low-memory", "compilable", "incompatible", "unsaid"),
                )
            ),
        )
    ),
    problems=_list(DIAGNOSTIC),
)
VERDICT = _one_of(*(verdict.value for verdict in Verdict))
DOCTOR = _object(
    format_version=FORMAT,
    project=TEXT,
    id=MAYBE_TEXT,
    summary=_object(**{verdict.value: COUNT for verdict in Verdict}),
    hosts=_map(
        _object(
            verdict=VERDICT,
            checks=_list(_object(check=TEXT, verdict=VERDICT, message=TEXT, evidence=_list(TEXT), remedy=MAYBE_TEXT)),
            projects=_list(_object(project=TEXT, id=MAYBE_TEXT, containers=COUNT)),
        )
    ),
    problems=_list(DIAGNOSTIC),
)
EVENTS = (
    "plan", "note", "step-started", "step-progress", "step-waiting", "step-done", "step-failed", "step-skipped",
    "step-undoing", "step-undone", "summary",
)  # fmt: skip
HISTORY = _object(
    format_version=FORMAT,
    project=TEXT,
    applies=_list(
        _object(
            apply=TEXT,
            time=TEXT,
            verb=TEXT,
            result=TEXT,
            who=TEXT,
            commit=MAYBE_TEXT,
            plan=TEXT,
            deployer=TEXT,
            summary=TEXT,
            hosts=_map(_object(time=TEXT, result=TEXT, changes=_list(TEXT), more=COUNT)),
        )
    ),
)
UNLOCKED = _object(format_version=FORMAT, project=TEXT, unlocked=_list(_object(host=TEXT, holder=TEXT, since=TEXT)))
EVENT = _object(
    time={"type": "string", "format": "date-time"}, event=_one_of(*EVENTS), step=MAYBE_TEXT, host=MAYBE_TEXT
)
CONTENT = _object(path=TEXT, size=COUNT, sha256=TEXT)
BUNDLE = _object(
    format_version=FORMAT,
    project=TEXT,
    id=MAYBE_TEXT,
    sequence=COUNT,
    made=TEXT,
    by=TEXT,
    deployer=TEXT,
    signature=_object(trust=_one_of("trusted", "unknown", "unsigned"), name=MAYBE_TEXT, key=MAYBE_TEXT),
    checked={"type": "boolean"},
    size=COUNT,
    files=_list(CONTENT),
    parent={"oneOf": [{"type": "null"}, _object(sequence=COUNT, digest=TEXT)]},
    needs=_list(CONTENT),
    inside=_list(CONTENT),
    models=_list(
        _object(
            source=TEXT,
            revision=TEXT,
            commit=TEXT,
            files=_list(_object(path=TEXT, size=COUNT, sha256=TEXT, here={"type": "boolean"})),
        )
    ),
    images=_list(
        _object(reference=TEXT, digest=MAYBE_TEXT, platforms=_list(TEXT), size=COUNT, here={"type": "boolean"})
    ),
    texts=_list(TEXT),
)
