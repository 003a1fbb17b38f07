"""The lab itself: its hosts are hosts, and its faults are real."""

from __future__ import annotations

import subprocess

import pytest
from labkit.hosts import STAND_IN, Lab
from labkit.project import Project
from labkit.waiting import eventually


def ssh(lab: Lab, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["ssh", "-F", lab.ssh_config, "-o", "ConnectTimeout=3", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("host", ["lab1", "lab2", "lab3"])
def test_a_host_must_be_reached_by_ssh_and_run_docker(lab: Lab, host: str) -> None:
    done = ssh(lab, host, "hostname; docker version --format '{{.Server.Version}}'")
    assert done.stdout.splitlines()[0] == host, done.stderr
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.usefixtures("project")
def test_a_cut_host_must_not_answer_and_a_healed_one_must(lab: Lab) -> None:
    with lab.broken("cut", "lab2"):
        assert ssh(lab, "lab2", "true").returncode == 255
        assert ssh(lab, "lab1", "true").returncode == 0
    assert ssh(lab, "lab2", "true").returncode == 0


@pytest.mark.usefixtures("project")
def test_a_hidden_host_must_be_reached_through_its_neighbour_only(lab: Lab) -> None:
    with lab.broken("hide", "lab3"):
        assert ssh(lab, "lab3", "true").returncode == 255
        assert ssh(lab, "-J", "lab1", "lab3", "true").returncode in (0, 255)
        assert ssh(lab, "-o", f"ProxyCommand=ssh -F {lab.ssh_config} -W %h:%p lab1", "lab3", "true").returncode == 0


def test_nothing_sent_to_a_lab_that_is_down_may_leave_this_machine(lab: Lab) -> None:
    routes = subprocess.run(["ip", "route", "show", "type", "unreachable"], capture_output=True, text=True, check=True)
    assert f"unreachable {lab.network}.0/24" in routes.stdout


@pytest.mark.parametrize(("user", "allowed"), [("root", True), ("ops", True), ("guest", False), ("admin", False)])
def test_users_must_have_the_rights_that_tests_count_on(lab: Lab, user: str, allowed: bool) -> None:
    assert (ssh(lab, f"{user}@lab1", "docker ps").returncode == 0) is allowed
    assert (ssh(lab, f"{user}@lab1", "sudo -n true").returncode == 0) is (user in ("admin", "root"))


def test_a_gpu_that_is_not_there_must_be_refused(lab: Lab, project: Project) -> None:
    assert len(lab.gpu_uuids("lab1")) == 2
    with pytest.raises(Exception, match="unknown device"):
        lab.run("lab1", "docker", "run", "--rm", "--gpus", "device=GPU-nobody", "busybox:1", "true")


@pytest.mark.parametrize(("mode", "status"), [("ok", 200), ("nonsense", 200), ("refuses", 500)])
def test_the_stand_in_must_misbehave_as_asked(lab: Lab, project: Project, mode: str, status: int) -> None:
    lab.run("lab1", "docker", "run", "-d", "--name", "stand-in", "-e", f"STANDIN_MODE={mode}", "-p", "8080:8080",
            "-v", "/srv/models:/m", STAND_IN, "-m", "/m/tiny.gguf")  # fmt: skip
    eventually(lambda: "200" in lab.sh("lab1", "curl -so /dev/null -w '%{http_code}' localhost:8080/health || true"))
    assert lab.request("lab1", "http://localhost:8080/health")[0] == 200
    assert lab.request("lab1", "http://localhost:8080/v1/chat/completions", {"messages": []})[0] == status
