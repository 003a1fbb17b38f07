"""From what was seen to a status: the current container of each replica, and what is missing."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema

from deployer.engine.probe_gpus import with_containers
from deployer.formats.nvidia_smi import parse_compute_apps
from deployer.spec.load import load
from deployer.spec.project import Project
from deployer.values.facts import ContainerStatus, DockerFacts, HostFacts, ObservedContainer, ObservedState, Recorded
from deployer.values.gpu_facts import Gpu, GpuFacts, GpuProcess
from deployer.values.names import ReplicaKey
from deployer.values.plan import Action, Cause, Change, Member, Placement, Reason
from deployer.values.records import Hold
from deployer.view.json_text import render_json
from deployer.view.output_schemas import output_schema
from deployer.view.status import Seen, status_json, status_of
from deployer.view.status_text import render_status
from tests.support.models import shape
from tests.unit.planning.test_fitting import scene
from tests.unit.view.plans import a_plan

SPEC = b"""\
version: 1
project: demo
id: unit
hosts: {gpu-a: {}, gpu-b: {}}
models: {tiny: {source: "file:///srv/models/tiny.gguf"}}
services:
  chat: {model: tiny, replicas: 2}
"""


def project() -> Project:
    return load(["deploy.yaml"], {"deploy.yaml": SPEC}.__getitem__)


def container(key: ReplicaKey, status: ContainerStatus, revision: str = "a" * 12) -> ObservedContainer:
    recorded = Recorded("demo", "unit", key, 0, "replica", revision, None, {"backend": "llama.cpp"})
    return ObservedContainer(
        id=f"{key}-{revision}", name=f"demo_{key.service}_{key.index}_{revision}", image="i", image_id="sha256:1",
        status=status, recorded=recorded, restarts=2, started_at="2026-01-01T00:00:00Z",
        finished_at="2026-01-02T00:00:00Z", restart_policy="always",
    )  # fmt: skip


def observed(*containers: ObservedContainer) -> ObservedState:
    facts = HostFacts(
        name="gpu-a", hostname="a", os="", kernel="", arch="x86_64", uid=0, gid=0, user="root", cpus=1,
        memory_total=1, memory_available=1, time="2026-01-02T00:00:00Z", docker=DockerFacts("1", "1.41"),
        containers=containers,
    )  # fmt: skip
    return ObservedState({"gpu-a": facts})


CHAT, SECOND, OLD = ReplicaKey("chat", 0), ReplicaKey("chat", 1), ReplicaKey("old", 0)


def test_a_service_that_is_held_says_by_whom() -> None:
    hold = Hold("chat", "abc", "ada@desk", "2026-01-02T00:00:00Z", "it was slow", "20260102T000000Z00000000")
    status = status_of(Seen(project(), observed(container(CHAT, "running")), a_plan(holds=(hold,))))
    data = status_json(status)["services"]["chat"]["held"]
    assert (data["who"], data["why"]) == ("ada@desk", "it was slow")
    assert "ada@desk rolled it back at 2026-01-02T00:00:00Z: it was slow" in render_status(status).render()
    jsonschema.validate(json.loads(render_json(status_json(status))), output_schema("status"))


def test_running_missing_and_leftover_replicas() -> None:
    seen = Seen(
        project(),
        observed(container(CHAT, "running"), container(OLD, "exited")),
        a_plan(changes=(Change(OLD, "gpu-a", Action.REMOVE, Cause.CHANGE, (Reason("not-in-spec", "is gone"),)),)),
        {"demo_chat_0_aaaaaaaaaaaa": "ready"},
    )
    status = status_of(seen)
    chat, old = status.services["chat"], status.services["old"]
    assert [(r.replica, r.state, r.health) for r in chat.replicas] == [(0, "running", "ready"), (1, "missing", None)]
    assert (chat.desired, chat.ready, chat.backend) == (2, 1, "llama.cpp")
    assert (old.desired, old.ready, old.replicas[0].pending) == (0, 0, "remove: is gone")
    assert old.replicas[0].since == "2026-01-02T00:00:00Z"


def test_drift_is_told_apart_from_an_edit() -> None:
    edited, died = Reason("spec-changed", "the spec was edited"), Reason("exited", "its container exited with code 1")
    moved = Reason("host-changed", "moves from `gpu-b` to `gpu-a`")
    for cause, reasons, drift in (
        (Cause.DRIFT, (died,), died.message),
        (Cause.DRIFT, (moved,), moved.message),
        (Cause.CHANGE, (edited, died), died.message),
        (Cause.CHANGE, (edited, moved), None),
        (Cause.CHANGE, (edited,), None),
    ):
        plan = a_plan(changes=(Change(CHAT, "gpu-a", Action.REPLACE, cause, reasons),))
        replica = status_of(Seen(project(), observed(container(CHAT, "exited")), plan)).services["chat"].replicas[0]
        assert replica.drift == drift
        assert replica.pending == "replace: " + "; ".join(reason.message for reason in reasons)


def test_a_default_that_waits_is_not_pending() -> None:
    plan = a_plan(changes=(Change(CHAT, "gpu-a", Action.REPLACE, Cause.DEFAULT, (Reason("default-changed", "x"),)),))
    replica = status_of(Seen(project(), observed(container(CHAT, "running")), plan)).services["chat"].replicas[0]
    assert replica.pending is None


def test_a_replica_that_may_run_unseen_is_unknown_not_missing() -> None:
    why = (Reason("unknown", "may run on `gpu-b`, which is unreachable; left alone"),)
    plan = a_plan(changes=(Change(SECOND, "gpu-b", Action.KEEP, Cause.NONE, why),))
    replicas = status_of(Seen(project(), observed(container(CHAT, "running")), plan)).services["chat"].replicas
    assert [(r.state, r.host) for r in replicas] == [("running", "gpu-a"), ("unknown", "gpu-b")]


def test_a_predecessor_that_still_runs_is_shown_too() -> None:
    both = observed(container(CHAT, "running"), container(CHAT, "running", "b" * 12))
    rows = status_of(Seen(project(), both, a_plan())).services["chat"].replicas
    assert [r.replica for r in rows] == [0, 0, 1]


def test_a_container_that_does_not_answer_is_not_ready() -> None:
    health = {"demo_chat_0_aaaaaaaaaaaa": "loading"}
    status = status_of(Seen(project(), observed(container(CHAT, "running")), a_plan(), health))
    assert status.services["chat"].ready == 0


def test_where_it_answers_is_where_it_runs_not_where_it_is_planned() -> None:
    here = container(CHAT, "running")
    assert here.recorded is not None
    there = replace(here, recorded=replace(here.recorded, decisions={"backend": "llama.cpp", "port": 20000}))
    planned = (Placement(CHAT, (Member("gpu-a", (), 20001),), "http://gpu-a:20001"),)
    (first, *_) = status_of(Seen(project(), observed(there), a_plan(placements=planned))).services["chat"].replicas
    assert first.url == "http://gpu-a:20000"
    elsewhere = (Placement(CHAT, (Member("gpu-b", (), 20001),), "http://gpu-b:20001"),)
    (first, *_) = status_of(Seen(project(), observed(there), a_plan(placements=elsewhere))).services["chat"].replicas
    assert first.url is None


def test_what_a_container_uses_is_what_its_processes_use() -> None:
    gpus = (Gpu(0, "GPU-a", "NVIDIA H100"), Gpu(1, "GPU-b", "NVIDIA H100"))
    running = replace(container(CHAT, "running"), gpus=("GPU-a", "1"))
    processes = (
        GpuProcess("GPU-a", 7, "vllm", 5 << 30, running.id),
        GpuProcess("GPU-a", 8, "vllm", 1 << 30, running.id),
        GpuProcess("GPU-b", 9, "vllm", None, running.id),
        GpuProcess("GPU-b", 10, "train", 9 << 30, "another"),
        GpuProcess("GPU-a", 11, "monitor", 9 << 30),
    )
    facts = replace(observed(running).reachable["gpu-a"], gpu=GpuFacts(gpus=gpus, processes=processes))
    state = ObservedState({"gpu-a": facts})
    planned = (Placement(CHAT, (Member("gpu-a", ("GPU-a", "GPU-b"), 20001),), gpu_memory=4 << 30),)

    def uses(action: Action) -> list[tuple[str, int | None, int | None]]:
        change = Change(CHAT, "gpu-a", action, Cause.CHANGE, ())
        status = status_of(Seen(project(), state, a_plan(changes=(change,), placements=planned)))
        return [(use.gpu, use.used, use.estimated) for use in status.services["chat"].replicas[0].gpu_memory]

    assert uses(Action.KEEP) == [("GPU-a", 6 << 30, 4 << 30), ("GPU-b", None, 4 << 30)]
    assert uses(Action.REPLACE) == [("GPU-a", 6 << 30, None), ("GPU-b", None, None)], "the estimate is not of what runs"


APPS = """\
GPU-h1-0, 31337, 15012, VLLM::EngineCore
GPU-h1-0, 31338, 402, /usr/bin/python3
GPU-h1-0, 41337, 17890, VLLM::EngineCore
GPU-h1-0, 51337, [N/A], VLLM::EngineCore
GPU-h1-0, 61337, 9000, /usr/bin/train
"""


def test_replicas_that_share_a_gpu_are_each_shown_what_they_use_beside_what_was_estimated() -> None:
    here = scene({"h1": (1, "H100")}, shape("Llama-3.1-8B"))
    services = {
        "chat": {
            "backend": "vllm",
            "replicas": 3,
            "placement": {"share": True},
            "options": {"gpu_memory": "24g", "context_length": 8192, "tensor_parallel": 1},
        }
    }
    here.apply(services)
    project = here.project(services)
    (facts,) = here.observed(project).reachable.values()
    ids = {one.recorded.key.index: one.id for one in facts.containers if one.recorded is not None}
    pids = {31337: (ids[0],), 31338: (ids[0],), 41337: (ids[1],), 51337: (ids[2],)}
    gpu = with_containers(replace(facts.gpu, processes=parse_compute_apps(APPS)), pids, frozenset(ids.values()))
    status = status_of(Seen(project, ObservedState({"h1": replace(facts, gpu=gpu)}), here.plan(services)))
    rows = status.services["chat"].replicas
    assert [(use.gpu, use.used) for row in rows for use in row.gpu_memory] == [
        ("GPU-h1-0", (15012 + 402) << 20), ("GPU-h1-0", 17890 << 20), ("GPU-h1-0", None),
    ]  # fmt: skip
    (need,) = {use.estimated for row in rows for use in row.gpu_memory}
    assert need is not None
    assert 17 << 30 < need < 20 << 30
    text = render_status(status).render()
    for words in ("15.1 GiB of GPU memory (", "17.5 GiB of GPU memory (", "GPU memory: "):
        assert f"{words}{need / (1 << 30):.1f} estimated" in text
    jsonschema.validate(json.loads(render_json(status_json(status))), output_schema("status"))
