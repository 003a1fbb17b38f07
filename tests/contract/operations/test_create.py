"""Creating containers: whole or not at all, ours or left alone."""

from __future__ import annotations

import base64

from deployer.values.container import ContainerSpec, Mount, SecretFile, ShippedFile
from deployer.values.secrets import SecretRef
from tests.contract.operations.bench import IMAGE, LABELLED, LABELLED_LABELS, SECRETS, Bench


def test_a_container_gets_its_secrets_labels_and_files_and_is_not_started(bench: Bench) -> None:
    spec = ContainerSpec(
        IMAGE,
        env={"PLAIN": "a b", "KEY": SecretRef("api")},
        labels={"team": "nlp"},
        restart="always",
        files={"/opt/app/start.sh": ShippedFile(base64.b64encode(b"#!/bin/sh\n").decode(), mode=0o755, uid=7)},
        secret_files={"/run/secrets/key": SecretFile(SecretRef("api"), uid=1000, gid=1001)},
    )
    name = bench.created(spec)
    state = bench.state(name)
    assert state["State"]["Status"] == "created"
    assert state["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert {"PLAIN=a b", f"KEY={SECRETS['api']}"} <= set(state["Config"]["Env"])
    assert state["Config"]["Labels"]["deployer.apply"] == "a1"
    assert state["Config"]["Labels"]["team"] == "nlp"
    assert SECRETS["api"] not in str(state["Config"]["Labels"])
    data, member = bench.file(name, "/opt/app/start.sh")
    assert (data, member.mode & 0o777, member.uid) == (b"#!/bin/sh\n", 0o755, 7)
    data, member = bench.file(name, "/run/secrets/key")
    assert (data.decode(), member.mode & 0o777, member.uid, member.gid) == (SECRETS["api"], 0o600, 1000, 1001)


def test_creating_again_replaces_what_was_never_started(bench: Bench) -> None:
    name = bench.created()
    before = bench.state(name)["Id"]
    bench.apply = "a2"
    bench.created()
    assert bench.state(name)["Id"] != before
    assert bench.state(name)["Config"]["Labels"]["deployer.apply"] == "a2"


def test_one_that_runs_is_kept(bench: Bench) -> None:
    name = bench.running()
    before = bench.state(name)["Id"]
    assert bench.perform(bench.creation(bench.server())) == "ran already"
    assert bench.state(name)["Id"] == before


def test_somebody_elses_container_of_that_name_is_left_alone(bench: Bench) -> None:
    operation = bench.creation()
    theirs = bench.foreign(operation.name)
    assert bench.failure(operation).code == "name-taken"
    assert bench.state(operation.name)["Id"] == theirs


def test_a_container_whose_image_carries_our_labels_is_not_ours(bench: Bench) -> None:
    name = f"suite_chat_0_{LABELLED_LABELS['deployer.revision']}"
    theirs = bench.foreign(name, LABELLED)
    operation = bench.creation()
    found = bench.failure(type(operation)(name, operation.spec, LABELLED_LABELS))
    assert found.code == "name-taken"
    assert bench.state(name)["Id"] == theirs


def test_files_that_cannot_be_put_leave_no_container(bench: Bench) -> None:
    spec = ContainerSpec(IMAGE, files={"/bin/busybox/below": ShippedFile("")})
    found = bench.failure(bench.creation(spec))
    assert found.code == "docker-refused"
    assert bench.names() == set()


def test_an_image_that_is_not_on_the_host(bench: Bench) -> None:
    found = bench.failure(bench.creation(ContainerSpec("nobody/nothing:1")))
    assert found.code == "image-missing"
    assert "nobody/nothing:1" in found.message


def test_a_path_that_is_not_on_the_host(bench: Bench) -> None:
    spec = ContainerSpec(IMAGE, mounts=(Mount("/srv/models/nope", "/models", read_only=True),))
    found = bench.failure(bench.creation(spec))
    assert found.code == "path-missing"
    assert "`/srv/models/nope`" in found.message
    assert bench.names() == set()
