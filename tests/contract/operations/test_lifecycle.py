"""Start, stop, rename, update, remove: twice is as good as once, and never anybody else's."""

from __future__ import annotations

import contextlib
import socket
from functools import partial

import pytest

from deployer.engine.answered import parse_answered, parse_proven
from deployer.engine.perform import Performer
from deployer.engine.watch import Watch
from deployer.values.container import ContainerSpec
from deployer.values.events import Note
from deployer.values.operations import RemoveContainer, RenameContainer, StartContainer, StopContainer, UpdateContainer
from deployer.values.records import Proven
from tests.contract.operations.bench import IMAGE, LABELLED, LABELLED_LABELS, PROJECT, Bench, eventually

QUICK = 1.0  # seconds of grace


def test_start_sets_the_policy_and_starts_once(bench: Bench) -> None:
    name = bench.created(bench.server())
    assert bench.perform(StartContainer(name, None, "always")) == ""
    assert (bench.status(name), bench.policy(name)) == ("running", "always")
    assert bench.perform(StartContainer(name, None, "always")) == "ran already"


def test_a_paused_container_goes_on(bench: Bench) -> None:
    name = bench.running()
    bench.docker.pause(name)
    bench.perform(StartContainer(name, None, "no"))
    assert bench.status(name) == "running"


def test_a_crash_loop_starts_anew(bench: Bench) -> None:
    name = bench.created(ContainerSpec(IMAGE, env={"MODE": "exit"}))
    bench.docker.update_container(name, restart_policy={"Name": "always"})
    bench.docker.start(name)
    eventually(lambda: bench.state(name)["RestartCount"] >= 4 and bench.status(name) == "restarting")
    bench.perform(StartContainer(name, bench.state(name)["Id"], "no"))
    assert bench.state(name)["RestartCount"] == 0


def test_one_that_serves_nobody_is_stopped_and_started_once(bench: Bench) -> None:
    name = bench.running()
    before = bench.state(name)["State"]["StartedAt"]
    anew = StartContainer(name, bench.state(name)["Id"], "no", stuck=before)
    assert bench.perform(anew) == ""
    assert (bench.status(name), bench.state(name)["State"]["StartedAt"] > before) == ("running", True)
    assert bench.perform(anew) == "ran already"


def test_a_container_that_is_gone_cannot_be_started(bench: Bench) -> None:
    assert bench.failure(StartContainer("suite_chat_0_0123456789ab", None, "no")).code == "container-missing"


def test_a_port_that_another_container_has(bench: Bench) -> None:
    holder = bench.foreign(
        "holder", Cmd=["sleep", "100"], ExposedPorts={"80/tcp": {}},
        HostConfig={"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(bench.port)}]}},
    )  # fmt: skip
    bench.docker.start(holder)
    name = bench.created(bench.server())
    found = bench.failure(StartContainer(name, None, "no"))
    assert found.code == "port-taken"
    assert found.message == f"port {bench.port} of the host is already taken by container `holder`"
    assert bench.perform(RemoveContainer(name, None, QUICK)) == ""
    assert bench.names() == {"holder"}


def test_a_port_that_a_process_has(bench: Bench) -> None:
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", bench.port))
        taken.listen()
        name = bench.created(bench.server())
        found = bench.failure(StartContainer(name, None, "no"))
    assert found.code == "port-taken"
    assert str(bench.port) in found.message
    assert "by process `python" in found.message or "by process `pytest" in found.message


def test_a_command_that_the_image_lacks(bench: Bench) -> None:
    name = bench.created(ContainerSpec(IMAGE, command=("llama-server", "-m", "x")))
    found = bench.failure(StartContainer(name, None, "no"))
    assert found.code == "bad-command"
    assert "`llama-server`" in found.message


def test_gpus_where_docker_has_none(bench: Bench) -> None:
    name = bench.created(ContainerSpec(IMAGE, gpus=("GPU-0000",)))
    found = bench.failure(StartContainer(name, None, "no"))
    assert found.code == "gpu-runtime"
    assert found.hint
    assert "nvidia-ctk" in found.hint


def test_stop_takes_the_policy_first_and_keeps_the_container(bench: Bench) -> None:
    name = bench.created(bench.server())
    bench.perform(StartContainer(name, None, "always"))
    id = bench.state(name)["Id"]
    assert bench.perform(StopContainer(name, id, QUICK)) == ""
    assert (bench.status(name), bench.policy(name)) == ("exited", "no")
    assert bench.perform(StopContainer(name, id, QUICK)) == "was stopped already"
    bench.docker.remove_container(name)
    assert bench.perform(StopContainer(name, id, QUICK)) == "was gone already"


def test_another_container_under_the_name_is_not_stopped(bench: Bench) -> None:
    name = bench.running()
    assert bench.failure(StopContainer(name, "0" * 64, QUICK)).code == "container-moved"
    assert bench.status(name) == "running"


@pytest.mark.parametrize("operation", [StopContainer, RemoveContainer])
def test_what_is_not_ours_is_not_touched(bench: Bench, operation: type[StopContainer]) -> None:
    theirs = bench.foreign("theirs", Cmd=["sleep", "100"])
    bench.docker.start(theirs)
    assert bench.failure(operation("theirs", theirs, QUICK)).code == "not-ours"
    assert bench.status("theirs") == "running"


def test_labels_that_come_from_the_image_make_nothing_ours(bench: Bench) -> None:
    name = f"suite_chat_0_{LABELLED_LABELS['deployer.revision']}"
    theirs = bench.foreign(name, LABELLED)
    assert bench.failure(RemoveContainer(name, theirs, QUICK)).code == "not-ours"
    assert name in bench.names()


def test_without_an_id_only_what_this_apply_made_is_removed(bench: Bench) -> None:
    name = bench.running()
    bench.apply = "a2"
    assert bench.failure(RemoveContainer(name, None, QUICK)).code == "not-of-this-apply"
    bench.apply = "a1"
    assert bench.perform(RemoveContainer(name, None, QUICK)) == ""
    assert bench.names() == set()
    assert bench.perform(RemoveContainer(name, None, QUICK)) == "was gone already"


def test_another_projects_container_is_not_ours(bench: Bench) -> None:
    operation = bench.creation()
    labels = {**operation.labels, "deployer.id": "another", "deployer.apply": "x"}
    theirs = bench.foreign(operation.name, labels=labels)
    assert bench.failure(RemoveContainer(operation.name, theirs, QUICK)).code == "not-ours"


def test_a_rename_makes_room_and_can_be_taken_back(bench: Bench) -> None:
    name = bench.created()
    id = bench.state(name)["Id"]
    away = RenameContainer(name, id, f"{name}.old")
    assert bench.perform(away) == ""
    assert bench.perform(away) == "was so already"
    assert bench.names() == {f"{name}.old"}
    assert bench.perform(RenameContainer(f"{name}.old", id, name)) == ""
    assert bench.names() == {name}


def test_an_update_sets_the_policy(bench: Bench) -> None:
    name = bench.running()
    assert bench.perform(UpdateContainer(name, None, "always")) == ""
    assert bench.policy(name) == "always"
    assert bench.perform(UpdateContainer(name, None, "always")) == "was so already"


def test_its_host_notes_that_a_container_answered(bench: Bench) -> None:
    """Also where the restart policy is to be `no`, so that nothing else tells."""
    name = bench.running()
    id = bench.state(name)["Id"]
    context = bench.context
    context.started["here", name] = context.clock() - 12.0
    performer = Performer(context, {"here": bench.transport})
    performer("here", UpdateContainer(name, None, "no"), Watch("step", "here", "update", bench.events.append))
    assert bench.perform(UpdateContainer(name, None, "no")) == "was so already"
    text = (bench.directory / "state" / PROJECT / "answered").read_bytes()
    assert parse_answered(text)[id] is not None
    assert (parse_answered(text)[id] or 0.0) >= 12.0


@pytest.mark.parametrize("verb", [StopContainer, RemoveContainer])
def test_what_an_apply_takes_away_again_was_not_applied(
    bench: Bench, verb: type[StopContainer] | type[RemoveContainer]
) -> None:
    name = bench.decided("e" * 64)
    perform = partial(Performer(bench.context, {"here": bench.transport}), "here")
    watch = Watch("step", "here", "commit", bench.events.append)
    perform(UpdateContainer(name, None, "always"), watch)
    noted = bench.directory / "state" / PROJECT / "answered"
    assert parse_proven(PROJECT, noted.read_bytes()) == (Proven(PROJECT, "chat-0", "e" * 64, "a1"),)
    perform(verb(name, None, QUICK), watch)
    assert parse_proven(PROJECT, noted.read_bytes()) == ()


def test_what_another_apply_proved_stays_so_when_it_is_stopped(bench: Bench) -> None:
    name = bench.decided("e" * 64)
    bench.perform(UpdateContainer(name, None, "always"))
    bench.perform(StopContainer(name, None, QUICK))
    noted = bench.directory / "state" / PROJECT / "answered"
    assert parse_proven(PROJECT, noted.read_bytes()) == (Proven(PROJECT, "chat-0", "e" * 64, "a1"),)


def test_a_note_that_cannot_be_written_costs_nothing(bench: Bench) -> None:
    name = bench.running()
    (bench.directory / "state" / PROJECT / "answered").mkdir(parents=True)  # in the way
    assert bench.perform(UpdateContainer(name, None, "always")) == ""
    assert bench.policy(name) == "always"
    assert [event for event in bench.events if isinstance(event, Note) and "could not be noted" in event.what]
