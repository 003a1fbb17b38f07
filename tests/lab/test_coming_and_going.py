"""Hosts that come and go: drained, left alone, lost, out of reach; nothing runs twice, nothing is forgotten."""

from __future__ import annotations

import pytest
from labkit.hosts import Lab
from labkit.project import Project, changes, must_name

TWO = "chat: {model: tiny, replicas: 2, placement: {gpus: none, max_per_host: 1}}"
ONE = "chat: {model: tiny, placement: {gpus: none, hosts: [lab1, lab2]}}"


def hosts(**states: str) -> str:
    inner = ", ".join(f"{name}: {{state: {state}}}" for name, state in states.items())
    return f"{{{inner}}}"


def test_a_drained_host_must_be_left_once_its_successor_serves(lab: Lab, project: Project) -> None:
    project.write(ONE, hosts=hosts(lab1="active", lab2="active"))
    project.apply()
    assert len(lab.running("lab1")) == 1
    project.write(ONE, hosts=hosts(lab1="drain", lab2="active"))
    plan = project.plan()
    (change,) = changes(plan)
    assert (change["action"], change["from_host"], change["host"]) == ("move", "lab1", "lab2")
    assert change["reasons"][0]["code"] == "host-drained"
    assert plan["rollout"]["services"]["chat"]["min_ready"] == 1, "the successor first"
    project.apply()
    assert (lab.running("lab1"), len(lab.running("lab2"))) == ([], 1)
    project.must_be_settled()


def test_a_host_in_maintenance_must_not_even_be_connected_to(lab: Lab, project: Project) -> None:
    project.write(TWO, hosts=hosts(lab1="active", lab2="active"))
    project.apply()
    before = lab.names("lab2")
    project.write(TWO, hosts=hosts(lab1="active", lab2="maintenance"))
    project.edit("context_length: 256", "context_length: 512")
    with lab.broken("cut", "lab2"):
        plan = project.plan()
        assert [c["host"] for c in changes(plan)] == ["lab1"]
        assert not [p for p in plan["problems"] if p["severity"] == "error"]
        project.apply()
    assert lab.names("lab2") == before
    project.write(TWO, hosts=hosts(lab1="active", lab2="active"))
    project.edit("context_length: 256", "context_length: 512")
    assert [c["host"] for c in changes(project.plan())] == ["lab2"], "it is caught up with when it is back"
    project.apply()
    project.must_be_settled()


def test_a_lost_host_must_be_replaced_and_its_return_be_cleaned_up(lab: Lab, project: Project) -> None:
    project.write(ONE, hosts=hosts(lab1="active", lab2="active"))
    project.apply()
    with lab.broken("cut", "lab1"):
        project.write(ONE, hosts=hosts(lab1="lost", lab2="active"))
        assert [(c["action"], c["host"]) for c in changes(project.plan())] == [("create", "lab2")]
        project.apply()
    assert (len(lab.running("lab1")), len(lab.running("lab2"))) == (1, 1)
    project.write(ONE, hosts=hosts(lab1="active", lab2="active"))
    project.apply()
    assert len(lab.running()) == 1, "one replica is one replica, wherever it came back"
    project.must_be_settled()


@pytest.mark.heavy
def test_a_host_out_of_reach_must_stop_the_plan_unless_the_policy_says_else(lab: Lab, project: Project) -> None:
    project.write(TWO, hosts=hosts(lab1="active", lab2="active", lab3="active"))
    project.apply()
    serving = {r["host"] for r in project.replicas("chat")}
    away = sorted(serving)[-1]
    project.edit("context_length: 256", "context_length: 512")
    text = (project.folder / "deploy.yaml").read_text()
    with lab.broken("cut", away):
        must_name(project.run("plan", exit=1), away)
        project.write_whole(text + "policy: {unreachable: {max: 1}}\n")
        plan = project.plan()
        assert {c["host"] for c in changes(plan)} == serving - {away}
        assert [c["reasons"][0]["code"] for c in plan["changes"] if c["action"] == "keep"] == ["unknown"]
        assert [p["severity"] for p in plan["problems"] if p["host"] == away] == ["warning"]
        project.apply()
    assert [host for host in lab.hosts if lab.running(host)] == sorted(serving), "never a second time elsewhere"
    project.apply()
    project.must_be_settled()


def test_an_id_that_was_added_later_must_be_refused_with_a_way_out(lab: Lab, project: Project) -> None:
    project.write(ONE, hosts=hosts(lab1="active", lab2="active"))
    project.edit("id: lab-tests\n", "")
    project.apply()
    project.edit("project: lab\n", "project: lab\nid: lab-tests\n")
    refused = project.run("apply", "-y", exit=3)
    must_name(refused, "without an `id`", "take `id` out of the spec")
    project.edit("id: lab-tests\n", "")
    project.must_be_settled()
