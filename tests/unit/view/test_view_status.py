"""A status is one value: what is desired, what runs, what drifted."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest

from deployer.cli.schema import OUTPUTS
from deployer.view.json_text import render_json
from deployer.view.measured import GpuUse, render_use
from deployer.view.output_schemas import output_schema
from deployer.view.plan_json import plan_json
from deployer.view.status import ReplicaStatus, ServiceStatus, Status, status_json
from deployer.view.status_text import render_status
from tests.unit.view.plans import creation, everything, impossible

READY = ReplicaStatus(
    0, "gpu-a", "demo_chat_0_a", "running", "ready", ("GPU-0",), "http://a:1", 0, "2026-01-02T03:04:05.678Z"
)
DEAD = ReplicaStatus(
    1, "gpu-b", "demo_chat_1_b", "exited", restarts=3, drift="exited with 1", pending="start: exited with 1"
)
USING = ReplicaStatus(
    4, "gpu-a", "demo_chat_4_d", "running", "ready", ("GPU-0", "GPU-1"),
    gpu_memory=(GpuUse("GPU-0", 61 << 30, 18 << 30), GpuUse("GPU-1", 60 << 30, 18 << 30)),
)  # fmt: skip
LOADING = ReplicaStatus(2, "gpu-b", "demo_chat_2_c", "running", "loading")
AWAY = ReplicaStatus(3, None, None, "unknown")
STATUS = Status("demo", {"chat": ServiceStatus("tiny", "llama.cpp", 4, (READY, DEAD, LOADING, AWAY))})


def test_only_what_answers_is_ready() -> None:
    assert STATUS.services["chat"].ready == 1


def test_two_containers_of_one_replica_count_once() -> None:
    assert ServiceStatus("m", "b", 1, (READY, READY)).ready == 1


def test_the_json_has_the_promised_keys() -> None:
    data = json.loads(render_json(status_json(STATUS)))
    service = data["services"]["chat"]
    assert {"model", "backend", "desired", "ready", "held", "replicas"} <= set(service)
    assert {
        "replica", "host", "container", "state", "health", "gpus", "url", "restarts", "since", "drift",
    } <= set(service["replicas"][0])  # fmt: skip


GIB = 1 << 30


@pytest.mark.parametrize(
    ("uses", "said"),
    [
        ((), ""),
        ((GpuUse("GPU-0"),), ""),
        ((GpuUse("GPU-0", 61 * GIB),), "61.0 GiB of GPU memory"),
        ((GpuUse("GPU-0", None, 18 * GIB),), "GPU memory: 18.0 estimated"),
        ((GpuUse("GPU-0", 61 * GIB, 18 * GIB),), "61.0 GiB of GPU memory (18.0 estimated)"),
        (USING.gpu_memory, "61.0 + 60.0 GiB of GPU memory (18.0 estimated for each)"),
    ],
)
def test_what_is_used_of_gpus_beside_what_was_estimated(uses: tuple[GpuUse, ...], said: str) -> None:
    assert render_use(uses) == said
    replica = replace(READY, gpu_memory=uses)
    status = Status("demo", {"chat": ServiceStatus("tiny", "llama.cpp", 1, (replica,))})
    assert said in render_status(status).render()
    data = json.loads(render_json(status_json(status)))
    jsonschema.validate(data, output_schema("status"))
    shown = data["services"]["chat"]["replicas"][0]["gpu_memory"]
    assert [entry["used"] for entry in shown] == [use.used for use in uses]


def test_outputs_fit_their_schemas() -> None:
    status = json.loads(render_json(status_json(STATUS)))
    jsonschema.validate(status, output_schema("status"))
    for plan in (creation(), everything(), impossible()):
        jsonschema.validate(json.loads(render_json(plan_json(plan))), output_schema("plan"))


def test_a_schema_refuses_what_lacks_a_key() -> None:
    data = json.loads(render_json(plan_json(creation())))
    del data["changes"][0]["cause"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, output_schema("plan"))


@pytest.mark.parametrize("name", OUTPUTS)
def test_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(output_schema(name))


def test_the_text_says_what_is_wrong() -> None:
    text = render_status(STATUS).render()
    assert "chat  1 of 4 ready  tiny on llama.cpp" in text
    assert "chat-1  gpu-b  exited  3 restarts" in text
    assert "drift: start: exited with 1" in text
    assert "chat-3  no host  unknown" in text
    both = ReplicaStatus(0, "a", "c", "exited", drift="exited", pending="replace: the spec was edited; exited")
    text = render_status(Status("demo", {"chat": ServiceStatus("m", "b", 1, (both,))})).render()
    assert "pending: replace: the spec was edited; exited" in text
