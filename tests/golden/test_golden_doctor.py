"""What `doctor` prints, reviewed as prose, and its JSON held against its schema."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest

from deployer.errors import Diagnostic
from deployer.planning.diagnose import diagnose
from deployer.spec.language import DeploySpec
from deployer.spec.project import Project
from deployer.values.checks import Diagnosis
from deployer.values.facts import DockerFacts, HostFacts, Listener, ObservedState, Unreachable
from deployer.values.records import LockFact, ProjectRecord
from deployer.view.diagnosis import diagnosis_json, render_diagnosis
from deployer.view.json_text import render_json
from deployer.view.output_schemas import output_schema
from tests.conftest import Golden
from tests.unit.planning.hosts_facts import GIB, GOOD, H100, ours, theirs, with_gpus, without


def spec(*hosts: str) -> Project:
    data = {"version": 1, "project": "lab", "id": "7f3a", "hosts": {name: {} for name in hosts}, "services": {}}
    return Project(DeploySpec.model_validate(data), "deploy.yaml", {})


def good() -> Diagnosis:
    lived_in = replace(GOOD, containers=(ours(), theirs("old-vllm"), theirs("other_chat_0_x", "other", "c0ffee")))
    return diagnose(spec("gpu-a"), ObservedState({"gpu-a": lived_in}))


def bad() -> Diagnosis:
    """A host that never was prepared, one whose driver was updated, one with much going on, one that is gone."""
    missing = Diagnostic("docker-missing", "host `bare`: there is no Docker, neither `/var/run/docker.sock` nor the "
                         "`docker` command", hint="install Docker Engine on it")  # fmt: skip
    bare = without(
        "curl", "flock", "ss", "docker", name="bare", docker=DockerFacts("", ""), uid=1000, user="ops",
        state_writable=False, distribution=("openeuler",), os="openEuler 24.03 (LTS)", clock_skew=-86400 * 3,
        sshd={"allowtcpforwarding": "no"},
    )  # fmt: skip
    driver = replace(
        with_gpus("Failed to initialize NVML: Driver/library version mismatch NVML library version: 570.124"),
        name="driver",
    )
    busy = replace(
        GOOD,
        name="busy",
        gpu=replace(GOOD.gpu, gpus=(H100, replace(H100, index=1, uuid="GPU-9", problem="GPU requires reset"))),
        docker=replace(GOOD.docker, runtimes=("runc",)),
        disks=tuple(replace(disk, free=5 * GIB) for disk in GOOD.disks),
        listeners=(Listener("0.0.0.0", 20000, "tcp", "process nginx (pid 7)"), Listener("::", 20001)),
        containers=(ours(restart_policy="no"), theirs("lab_chat_0_x", "lab", "c0ffee")),
        locks=(LockFact("lab", "ann@laptop (pid 5)", "2025-12-31T23:59:30Z", "2026-01-01T00:00:30Z"),),
        records=(ProjectRecord("lab", "7f3a", "20260101T000000Z00000000", {"busy": "", "gpu-z": "10.0.0.9"}),),
        sshd={"maxsessions": "2"},
    )
    gone = Diagnostic("unreachable", "host `gone` cannot be reached at 10.0.0.4:22: no route to host",
                      hint="check that the host is up and that `ssh gone true` works")  # fmt: skip
    hosts: dict[str, HostFacts | Unreachable] = {"driver": driver, "busy": busy}
    hosts |= {"bare": Unreachable("bare", missing, bare), "gone": Unreachable("gone", gone)}
    return diagnose(spec(*hosts), ObservedState(hosts))


def hostile() -> Diagnosis:
    """Whatever a host says of itself."""
    nasty = "\x1b[31m\n::set-env name=x::y\r##[error]\u202e"
    said = replace(
        GOOD, os=nasty, kernel=nasty, user=nasty, state_writable=False, docker=replace(GOOD.docker, version=nasty),
        listeners=(Listener("::", 20000, "tcp", f"process {nasty} (pid 1)"),),
        containers=(theirs(nasty, nasty, nasty),), locks=(LockFact("lab", nasty, nasty, ""),),
    )  # fmt: skip
    return diagnose(spec("gpu-a"), ObservedState({"gpu-a": said}))


@pytest.mark.parametrize(("name", "found"), [("good", good()), ("bad", bad()), ("hostile", hostile())])
def test_doctor(golden: Golden, name: str, found: Diagnosis) -> None:
    golden.check(f"golden/doctor/{name}.txt", render_diagnosis(found).render())
    golden.check(f"golden/doctor/{name}-verbose.txt", render_diagnosis(found, verbose=True).render())
    text = render_json(diagnosis_json(found))
    jsonschema.validate(json.loads(text), output_schema("doctor"))
    assert "\x1b" not in text
