"""Hosts that leave the inventory while they serve, and projects that others own: both are said, nothing is lost."""

from __future__ import annotations

from labkit.hosts import Lab
from labkit.project import Project, Run

TWO = "chat: {model: tiny, replicas: 2, placement: {gpus: none, max_per_host: 1}}"
ONE = "chat: {model: tiny}"
RECORD = "/var/lib/deployer/lab/hosts"


def warned(run: Run) -> bool:
    return "warning[host-dropped]" in run.err


def test_a_dropped_host_must_be_said_until_it_is_drained(lab: Lab, project: Project) -> None:
    project.write(TWO, hosts="{lab1: {}, lab2: {}}")
    assert not warned(project.apply())

    project.write(ONE, hosts="{lab1: {}}")
    assert warned(project.run("plan"))
    project.apply()
    again = project.run("plan", "--detailed-exitcode")
    assert warned(again), "an apply without the host must not forget it"
    assert "`lab2`" in again.err
    assert len(lab.running("lab2")) == 1, "what nobody named is left alone"

    project.write(ONE, hosts="{lab1: {}, lab2: {state: drain}}")
    project.apply()
    assert lab.running("lab2") == []
    project.write(ONE, hosts="{lab1: {}}")
    assert not warned(project.run("plan"))


def test_a_host_that_is_lost_must_be_forgotten_by_an_apply_that_has_nothing_else_to_do(
    lab: Lab, project: Project
) -> None:
    project.write(TWO, hosts="{lab1: {}, lab2: {}}")
    project.apply()
    project.write(ONE, hosts="{lab1: {}, lab2: {state: lost}}")
    assert project.apply("--json").lines()[-1]["summary"]["remove"] == 0
    project.write(ONE, hosts="{lab1: {}}")
    assert not warned(project.run("plan"))


def test_destroy_must_take_the_record_along_and_warn_of_who_is_missing(lab: Lab, project: Project) -> None:
    project.write(TWO, hosts="{lab1: {}, lab2: {}}")
    project.apply()
    project.write(ONE, hosts="{lab1: {}}")
    assert warned(project.destroy())
    assert RECORD not in lab.files_of_deployer("lab1")
    assert RECORD in lab.files_of_deployer("lab2")


def test_facts_must_list_every_project_and_a_planted_record_must_do_no_harm(lab: Lab, project: Project) -> None:
    project.write(ONE, hosts="{lab1: {}}")
    project.apply()
    lab.run("lab1", "docker", "run", "-d", "--label", "deployer.project=other", "--label", "deployer.id=x", "busybox:1",
            "sleep", "1000000")  # fmt: skip
    assert project.run("facts").json()["projects"]["lab1"] == [
        {"project": "lab", "id": "lab-tests", "containers": 1},
        {"project": "other", "id": "x", "containers": 1},
    ]
    lab.sh("lab1", f"head -c 2000000 /dev/urandom > {RECORD}")
    project.must_be_settled()
    project.apply()
    assert '"lab1"' in lab.sh("lab1", f"cat {RECORD}")
