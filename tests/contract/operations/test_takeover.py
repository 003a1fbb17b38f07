"""Taking over from a hand-made container, and giving back: only that one, and as it was."""

from __future__ import annotations

from deployer.values.operations import GiveBack, TakeOver
from tests.contract.operations.bench import Bench

SLEEP = {"Cmd": ["sleep", "100"], "HostConfig": {"RestartPolicy": {"Name": "always"}}, "StopSignal": "SIGKILL"}


def started(bench: Bench) -> str:
    id_ = bench.foreign("old-vllm", **SLEEP)
    bench.docker.start(id_)
    return id_


def test_it_is_stopped_and_kept_and_started_again(bench: Bench) -> None:
    id_ = started(bench)
    assert bench.perform(TakeOver("old-vllm", id_)) == ""
    assert (bench.status("old-vllm"), bench.policy("old-vllm")) == ("exited", "no")
    assert bench.perform(TakeOver("old-vllm", id_)) == "was stopped already"
    assert bench.perform(GiveBack("old-vllm", id_, "always")) == ""
    assert (bench.status("old-vllm"), bench.policy("old-vllm")) == ("running", "always")
    assert bench.perform(GiveBack("old-vllm", id_, "always")) == "was so already"


def test_one_that_did_not_run_only_gets_its_policy_back(bench: Bench) -> None:
    id_ = bench.foreign("old-vllm", **SLEEP)
    bench.perform(TakeOver("old-vllm", id_))
    assert bench.policy("old-vllm") == "no"
    bench.perform(GiveBack("old-vllm", id_, "always", ran=False))
    assert (bench.status("old-vllm"), bench.policy("old-vllm")) == ("created", "always")


def test_another_of_that_name_is_left_alone(bench: Bench) -> None:
    id_ = started(bench)
    bench.docker.rename(id_, "renamed")
    assert bench.failure(TakeOver("old-vllm", id_)).code == "container-moved"
    assert bench.status("renamed") == "running"


def test_one_that_is_gone(bench: Bench) -> None:
    id_ = bench.foreign("old-vllm", **SLEEP)
    bench.docker.remove_container(id_)
    assert bench.perform(TakeOver("old-vllm", id_)) == "was gone already"
    assert bench.failure(GiveBack("old-vllm", id_, "always")).code == "container-missing"


def test_one_that_docker_removes_when_it_stops_is_left_alone(bench: Bench) -> None:
    id_ = bench.foreign("old-vllm", Cmd=["sleep", "100"], HostConfig={"AutoRemove": True})
    bench.docker.start(id_)
    assert bench.failure(TakeOver("old-vllm", id_)).code == "cannot-be-kept"
    assert bench.status("old-vllm") == "running"


def test_the_number_of_retries_comes_back_too(bench: Bench) -> None:
    policy = {"Name": "on-failure", "MaximumRetryCount": 5}
    id_ = bench.foreign("old-vllm", **{**SLEEP, "HostConfig": {"RestartPolicy": policy}})
    bench.docker.start(id_)
    bench.perform(TakeOver("old-vllm", id_))
    bench.perform(GiveBack("old-vllm", id_, "on-failure", retries=5))
    assert bench.state("old-vllm")["HostConfig"]["RestartPolicy"] == policy
