"""GPUs (faked): chosen by UUID, never given twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from labkit.hosts import Lab
from labkit.project import Project, must_name

SHARED = """
chat:
  model: tiny
  image: "${var.standin}"
  env: {STANDIN_DELAY: "12"}
  port: PORT
  options: {gpu_memory: 8g}
  placement: {gpus: ["lab3:0"], share: true}
"""


def devices(lab: Lab, host: str) -> list[list[str]]:
    """GPU ids that each container of the host was given."""
    found: list[list[str]] = []
    for container in lab.containers(host):
        requests: list[dict[str, Any]] = container["HostConfig"]["DeviceRequests"] or []
        found += [r["DeviceIDs"] for r in requests]
    return found


def starts_and_answers(lab: Lab, host: str, since: str) -> list[str]:
    """By project and in order; a container that answered gets its restart policy."""
    wanted = ("--filter", "type=container", "--filter", "event=start", "--filter", "event=update")
    said = lab.run(host, "docker", "events", "--since", since, "--until", lab.clock(host), *wanted,
                   "--format", "{{.Action}} {{.Actor.Attributes.name}}")  # fmt: skip
    return [line.partition("_")[0] for line in said.splitlines()]


def test_a_gpu_index_must_become_its_uuid(lab: Lab, project: Project) -> None:
    project.write('chat: {model: tiny, placement: {gpus: ["lab1:1"]}}', hosts="{lab1: {}}")
    project.apply()
    assert devices(lab, "lab1") == [[lab.gpu_uuids("lab1")[1]]]
    assert project.replica("chat")["gpus"] == [lab.gpu_uuids("lab1")[1]]
    project.must_be_settled()


def test_replicas_must_get_gpus_of_their_own(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny, replicas: 2, placement: {gpus: 1}}", hosts="{lab1: {}}")
    project.apply()
    given = [g for ids in devices(lab, "lab1") for g in ids]
    assert sorted(given) == sorted(lab.gpu_uuids("lab1"))
    project.must_be_settled()


def test_replicas_that_share_must_be_on_one_gpu_and_never_more_than_it_has_room_for(lab: Lab, project: Project) -> None:
    wish = (
        "chat: {model: tiny, replicas: REPLICAS, options: {gpu_memory: 20g}, placement: {gpus: [lab1:0], share: true}}"
    )
    project.write(wish.replace("REPLICAS", "2"), hosts="{lab1: {}}")
    project.apply()
    assert devices(lab, "lab1") == [[lab.gpu_uuids("lab1")[0]]] * 2
    project.must_be_settled()
    project.write(wish.replace("REPLICAS", "9"), hosts="{lab1: {}}")
    must_name(project.run("apply", "-y", exit=1), "chat-8", "lab1", "are left where 20.0 are needed")


def test_one_replica_too_many_must_be_refused_with_the_reason_per_host(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny, replicas: 3, placement: {gpus: 1}}", hosts="{lab1: {}}")
    failed = project.run("apply", "-y", exit=1)
    must_name(failed, "chat", "lab1", "GPU")
    assert lab.names() == []


def test_a_gpu_that_a_stranger_holds_must_not_be_taken(lab: Lab, project: Project) -> None:
    uuids = lab.gpu_uuids("lab1")
    lab.run("lab1", "docker", "run", "-d", "--name", "stranger", "--gpus", f"device={uuids[0]}", "busybox:1",
            "sleep", "1000000")  # fmt: skip
    project.write("chat: {model: tiny, placement: {gpus: 1}}", hosts="{lab1: {}}")
    project.apply()
    assert project.replica("chat")["gpus"] == [uuids[1]]


def test_a_gpu_filter_must_choose_the_host(lab: Lab, project: Project) -> None:
    project.write('chat: {model: tiny, placement: {gpus: 2, gpu: {model: A40, memory: ">=40GiB"}}}')
    project.apply()
    replica = project.replica("chat")
    assert replica["host"] == "lab2"
    assert len(replica["gpus"]) == 2
    assert set(replica["gpus"]) <= set(lab.gpu_uuids("lab2"))


def test_gpus_that_are_excluded_must_stay_free(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny, placement: {gpus: 1}}", hosts="{lab1: {gpus: {exclude: [0]}}}")
    project.apply()
    assert project.replica("chat")["gpus"] == [lab.gpu_uuids("lab1")[1]]


def test_the_nvidia_runtime_must_be_passed_on(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny, placement: {gpus: 1}, container: {runtime: nvidia}}", hosts="{lab1: {}}")
    project.apply()
    (container,) = lab.containers("lab1")
    assert container["HostConfig"]["Runtime"] == "nvidia"


def test_two_projects_must_not_get_one_gpu_at_the_same_moment(lab: Lab, project: Project, tmp_path: Path) -> None:
    """Both look, both see it free, both start: exactly one goes on, and of the other nothing is left."""
    other = Project(lab, tmp_path / "other")
    other.folder.mkdir()
    both = (project, other)
    for mine, name, port in zip(both, ("lab", "rival"), (8501, 8502), strict=True):
        mine.write(f"chat: {{model: tiny, port: {port}, placement: {{gpus: [['lab3:0']]}}}}", hosts="{lab3: {}}")
        mine.edit("project: lab", f"project: {name}")
    started = [mine.start("apply", "-y") for mine in both]
    ended = [mine.finish(process, "apply", exit=None) for mine, process in zip(both, started, strict=True)]
    assert sorted(run.code for run in ended) in ([0, 1], [0, 3]), "\n".join(map(str, ended))
    (loser,) = (run for run in ended if run.code)
    assert "is taken by container" in loser.err or "is held by" in loser.err, str(loser)
    assert len(lab.names("lab3")) == 1


@pytest.mark.heavy
def test_projects_that_share_a_gpu_must_start_on_it_one_after_the_other(
    lab: Lab, project: Project, tmp_path: Path
) -> None:
    """Applied at the same time: whoever comes second starts when the first one has answered, and says for whom it
    waits."""
    other = Project(lab, tmp_path / "other")
    other.folder.mkdir()
    both, since = (project, other), lab.clock("lab3")
    for mine, name, port in zip(both, ("lab", "rival"), (8501, 8502), strict=True):
        mine.write(SHARED.replace("PORT", str(port)), hosts="{lab3: {}}")
        mine.edit("project: lab", f"project: {name}")
    started = [mine.start("apply", "-y") for mine in both]
    ended = [mine.finish(process, "apply") for mine, process in zip(both, started, strict=True)]
    assert devices(lab, "lab3") == [[lab.gpu_uuids("lab3")[0]]] * 2
    turns = starts_and_answers(lab, "lab3", since)
    first = turns[0].removeprefix("start ")
    second = {"lab": "rival", "rival": "lab"}[first]
    assert turns == [f"start {first}", f"update {first}", f"start {second}", f"update {second}"]
    waited = [run for run in ended if "is starting on a GPU that both share" in run.text]
    assert len(waited) == 1, "\n".join(map(str, ended))
    for mine in both:
        mine.must_be_settled()
