"""MIG slices are GPUs of their own: placed, claimed, given to Docker by UUID; the GPU they are of is not used."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deployer.docker.commandline import render_docker_run
from deployer.planning.claims import gpu_uuids
from deployer.values.facts import HostFacts
from deployer.values.gpu_facts import Gpu, GpuFacts
from deployer.values.operations import CreateContainer
from tests.support.models import shape
from tests.unit.planning.scene import Scene, a_stranger, refusals_of
from tests.unit.planning.test_fitting import scene

GIB = 1 << 30
WHOLE = Gpu(0, "GPU-h1-0", "NVIDIA A100-SXM4-80GB", 80 * GIB, compute_capability="8.0", mig_mode=True)
LARGE = replace(WHOLE, uuid="MIG-h1-3", name=f"{WHOLE.name} MIG 3g.40gb", memory_total=40192 << 20, mig_mode=None,
                parent=WHOLE.uuid, slice=0)  # fmt: skip
SMALL = replace(LARGE, uuid="MIG-h1-1", name=f"{WHOLE.name} MIG 1g.10gb", memory_total=9728 << 20, slice=1)
OTHER = Gpu(1, "GPU-h1-1", "NVIDIA A100-SXM4-80GB", 80 * GIB, compute_capability="8.0", mig_mode=False)


def host(*gpus: Gpu, **changes: Any) -> Scene:
    def seen(facts: HostFacts) -> HostFacts:
        others = changes.get("containers", ())
        return replace(facts, gpu=GpuFacts(gpus=gpus), containers=facts.containers + tuple(others))

    return Scene({"h1": 0}, changes.get("hosts", {}), seen=seen)


def one(**placement: object) -> dict[str, dict[str, Any]]:
    return {"chat": {"placement": {"gpus": 1, **placement}}}


def gpus_of(here: Scene, services: dict[str, dict[str, Any]]) -> list[tuple[str, ...]]:
    return [p.members[0].gpus for p in here.plan(services).placements]


def test_slices_are_given_out_and_their_gpu_is_not() -> None:
    here = host(WHOLE, LARGE, SMALL, OTHER)
    assert gpus_of(here, {"chat": one()["chat"] | {"replicas": 3}}) == [("MIG-h1-3",), ("MIG-h1-1",), ("GPU-h1-1",)]
    assert refusals_of(here.plan({"chat": one()["chat"] | {"replicas": 4}})) == [
        "h1  0 of 3 GPUs free, needs 1 (GPU 0:0 is held by replica `chat-0`; GPU 0:1 is held by replica `chat-1`; "
        "GPU 1 is held by replica `chat-2`)"
    ]


def test_docker_is_given_the_slice_by_its_uuid() -> None:
    found = host(WHOLE, SMALL).plan(one())
    (created,) = [step.operation for step in found.steps if isinstance(step.operation, CreateContainer)]
    assert "device=MIG-h1-1" in render_docker_run(created.spec, "chat")


def test_a_replica_keeps_its_slice() -> None:
    here = host(WHOLE, LARGE, SMALL)
    here.apply(one(gpus=["h1:0:1"]))
    assert here.plan(one(gpus=["h1:0:1"])).is_empty
    assert gpus_of(here, one(gpus=["h1:0:1"])) == [("MIG-h1-1",)]
    assert gpus_of(here, one(gpus=["h1:MIG-h1-3"])) == [("MIG-h1-3",)]


def test_a_gpu_that_is_cut_is_not_used_whole_and_one_that_is_not_yet_neither() -> None:
    assert refusals_of(host(WHOLE, SMALL).plan(one(gpus=["h1:0"]))) == [
        "h1  0 of 1 GPUs free, needs 1 (GPU 0 is in MIG mode)"
    ]
    assert refusals_of(host(WHOLE).plan(one())) == ["h1  0 of 1 GPUs free, needs 1 (GPU 0 is in MIG mode)"]


def test_a_replica_on_several_gpus_needs_whole_ones() -> None:
    assert refusals_of(host(WHOLE, LARGE, SMALL).plan(one(gpus=2))) == [
        "h1  0 of 2 GPUs free, needs 2 (GPU 0:0 is a slice, and a server works on one only; "
        "GPU 0:1 is a slice, and a server works on one only); it fits with `placement.gpus` 1"
    ]
    assert gpus_of(host(WHOLE, SMALL, OTHER, replace(OTHER, index=2, uuid="GPU-h1-2")), one(gpus=2)) == [
        ("GPU-h1-1", "GPU-h1-2")
    ]


def test_filters_and_the_hosts_own_choice_are_about_the_slice() -> None:
    assert gpus_of(host(WHOLE, SMALL, LARGE), one(gpu={"memory": ">=20GiB"})) == [("MIG-h1-3",)]
    assert gpus_of(host(WHOLE, LARGE, SMALL), one(gpu={"model": "1g.10gb"})) == [("MIG-h1-1",)]
    for use, expected in (([1], "GPU-h1-1"), (["0:1"], "MIG-h1-1"), (["GPU-h1-0"], "MIG-h1-3"), ([0], "MIG-h1-3")):
        assert gpus_of(host(WHOLE, LARGE, SMALL, OTHER, hosts={"h1": {"gpus": {"use": use}}}), one()) == [(expected,)]


def test_a_model_goes_where_it_fits() -> None:
    here = scene({"h1": (1, "A100")}, shape("Llama-3.1-8B"))
    models, here.seen = here.seen, lambda facts: replace(models(facts), gpu=GpuFacts(gpus=(WHOLE, SMALL, LARGE)))
    services = {"chat": {"backend": "vllm", "options": {"context_length": 8192}}}
    assert gpus_of(here, services) == [("MIG-h1-3",)]
    models2 = here.seen
    here.seen = lambda facts: replace(models2(facts), gpu=GpuFacts(gpus=(WHOLE, SMALL)))
    (line,) = refusals_of(here.plan(services))
    assert "`m` needs" in line


def test_who_has_the_gpu_has_its_slices() -> None:
    facts = host(WHOLE, LARGE, SMALL).world.facts("h1", ())
    facts = replace(facts, gpu=GpuFacts(gpus=(WHOLE, LARGE, SMALL, OTHER)))
    assert gpu_uuids(facts, ["0"]) == {"GPU-h1-0", "MIG-h1-3", "MIG-h1-1"}
    assert gpu_uuids(facts, ["0:1"]) == {"MIG-h1-1"}
    here = host(WHOLE, LARGE, SMALL, containers=[a_stranger("train", gpus=("GPU-h1-0",))])
    assert "GPU 0:0 is held by container train" in refusals_of(here.plan(one()))[0]


def test_slices_can_be_shared() -> None:
    sharing = {"placement": {"gpus": 1, "share": True}, "options": {"gpu_memory": "4g"}, "replicas": 2}
    assert gpus_of(host(WHOLE, SMALL), {"chat": sharing}) == [("MIG-h1-1",), ("MIG-h1-1",)]
