"""Cases that chance meets too rarely: hand-overs of ports, GPUs and names between replicas and hosts."""

from __future__ import annotations

from typing import Any

from tests.properties.cases import Case, Wish

RACKS = {"h1": "r1", "h2": "r2"}


def service(**settings: Any) -> dict[str, Any]:
    found = {
        "replicas": 1,
        "options": {"context_length": 1024},
        "placement": {"gpus": "none"},
        "port": None,
        "rollout": {"max_unavailable": 1, "keep_revisions": 0, "strategy": "rolling", "on_failure": "rollback"},
        "container": {"restart": "always", "network": "bridge"},
        "state": "running",
        "env": {},
    }
    return {**found, **settings}


def on_gpus(*lists: str, **settings: Any) -> dict[str, Any]:
    return service(replicas=len(lists), placement={"gpus": [[name] for name in lists]}, **settings)


def case(before: dict[str, Any], after: dict[str, Any], seed: int, secrets: str = "one one", **gpus: int) -> Case:
    first, second = secrets.split()
    return Case(
        {"h1": 0, "h2": 0} | gpus, {}, {}, Wish(before, RACKS, first), Wish(after, RACKS, second), seed
    )  # fmt: skip


def shared(size: str, replicas: int = 1) -> dict[str, Any]:
    options = {"context_length": 1024, "gpu_memory": size}
    return service(replicas=replicas, options=options, placement={"gpus": ["h1:0"], "share": True})


def edited(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "options": {**found["options"], "context_length": 4096}}


RECREATE = {"max_unavailable": 1, "keep_revisions": 0, "strategy": "recreate", "on_failure": "rollback"}
SECRET = service(replicas=2, env={"KEY": {"secret": "key"}}, port={"number": 8001})
HERE = service(placement={"gpus": "none", "hosts": ["h1"]})
THREE = service(replicas=3, placement={"gpus": 1})
NEVER_DOWN = service(
    replicas=2,
    placement={"gpus": 1, "max_per_host": 1},
    port={"number": 8001},
    rollout={"max_unavailable": 0, "keep_revisions": 1, "strategy": "rolling", "on_failure": "rollback"},
)
ALONE = service(placement={"gpus": ["h1:0"]})
BESIDE = shared("25g")
SCENARIOS = tuple(
    made
    for seed in range(4)
    for made in (
        case({"api": SECRET}, {"api": SECRET}, seed, "one two"),
        case({"api": THREE}, {"api": edited(THREE)}, seed, h1=3),
        case({"api": THREE}, {"api": edited(THREE)}, seed, h1=4),
        case({"api": THREE}, {"api": edited(THREE)}, seed, h1=2, h2=2),
        case({"api": NEVER_DOWN}, {"api": edited(NEVER_DOWN)}, seed, h1=1, h2=2),
        case({"api": shared("20g", 3)}, {"api": shared("25g", 3)}, seed, h1=1),
        case({"api": shared("45g"), "chat": shared("30g")}, {"api": shared("25g"), "chat": shared("50g")}, seed, h1=1),
        case({"api": ALONE}, {"api": shared("25g", 2)}, seed, h1=1),
        case({"api": BESIDE, "chat": BESIDE}, {"api": edited(BESIDE), "chat": edited(BESIDE)}, seed, h1=1),
        case({"api": on_gpus("h1:0", "h1:1")}, {"api": on_gpus("h1:1", "h1:0")}, seed, h1=2),
        case({"api": on_gpus("h1:0", "h2:0")}, {"api": on_gpus("h2:0", "h1:0")}, seed, h1=1, h2=1),
        case({"api": on_gpus("h1:0", "h1:1", "h2:0")}, {"api": on_gpus("h1:1", "h2:0", "h2:1")}, seed, h1=2, h2=2),
        case(
            {"api": service(placement={"gpus": "none", "hosts": ["h2"]}, rollout=RECREATE)},
            {"api": HERE | {"rollout": RECREATE}},
            seed,
        ),
        case(
            {"api": service(port={"number": 8001}), "chat": service(port={"number": 8002})},
            {"api": service(port={"number": 8002}), "chat": service(port={"number": 8001})},
            seed,
        ),
        case({"api": HERE, "chat": HERE}, {"chat": HERE}, seed),
        case({"api": service(placement={"gpus": 1})}, {"api": service(placement={"gpus": 3})}, seed, h1=1),
        case({"api": service(placement={"gpus": 2})}, {"docs": service(placement={"gpus": 2})}, seed, h1=2),
        case(
            {"api": on_gpus("h1:0", rollout=RECREATE), "chat": on_gpus("h1:1", rollout=RECREATE)},
            {"api": on_gpus("h1:1", rollout=RECREATE), "chat": on_gpus("h1:0", rollout=RECREATE)},
            seed,
            h1=2,
        ),
    )
)
