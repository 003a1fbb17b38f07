"""deployer doctor: what is wrong with a host is said with its remedy, and a host that is all right is left in peace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from labkit.hosts import Lab
from labkit.project import Project, must_name

ONE = "chat: {model: tiny}"


def checked(project: Project, exit: int = 0) -> dict[str, dict[str, Any]]:
    """Host -> check -> what was found."""
    hosts = project.run("doctor", "--json", exit=exit).json()["hosts"]
    return {name: {check["check"]: check for check in host["checks"]} for name, host in hosts.items()}


def verdicts(checks: dict[str, Any], verdict: str) -> set[str]:
    return {name for name, check in checks.items() if check["verdict"] == verdict}


@contextmanager
def in_place_of(lab: Lab, host: str, path: str, script: str) -> Iterator[None]:
    """A program of the host's own; its folder comes before the others in PATH."""
    lab.sh(host, f"test ! -e {path} || cp -p {path} {path}.kept")
    lab.put(host, path, script.encode())
    lab.run(host, "chmod", "755", path)
    try:
        yield
    finally:
        lab.sh(host, f"if [ -e {path}.kept ]; then mv {path}.kept {path}; else rm {path}; fi")


def test_hosts_that_are_all_right_must_pass_every_check_but_that_of_their_small_disks(
    lab: Lab, project: Project
) -> None:
    project.write(ONE)
    for checks in checked(project).values():
        assert verdicts(checks, "fail") == set()
        assert verdicts(checks, "warn") <= {"disk"}
        assert {"reachable", "docker", "tools", "state-dir", "sshd", "clock", "ports", "listeners"} <= set(checks)
    said = project.run("doctor").out
    assert "Doctor: 3 hosts looked at" in said
    assert lab.names() == []


def test_a_host_without_docker_and_tools_must_be_told_all_of_it_at_once(lab: Lab, project: Project) -> None:
    project.write(ONE, hosts="{lab1: {user: guest}, lab2: {}}")
    lab.sh("lab1", "mount --bind /dev/null /usr/bin/flock")
    try:
        with lab.broken("kill-docker", "lab2"):
            found = checked(project, exit=1)
    finally:
        lab.sh("lab1", "umount /usr/bin/flock")
    assert verdicts(found["lab1"], "fail") == {"docker", "tools", "state-dir"}
    assert "usermod -aG docker guest" in found["lab1"]["docker"]["remedy"]
    assert found["lab1"]["tools"]["message"] == "missing: flock"
    assert "install -d -o guest /var/lib/deployer" in found["lab1"]["state-dir"]["remedy"]
    assert verdicts(found["lab2"], "fail") == {"docker"}
    assert "systemctl start docker" in found["lab2"]["docker"]["remedy"]


def test_a_driver_that_fails_and_a_wrong_clock_must_be_said(lab: Lab, project: Project) -> None:
    project.write(ONE, hosts="{lab1: {}}")
    mismatch = "Failed to initialize NVML: Driver/library version mismatch"
    with (
        in_place_of(lab, "lab1", "/usr/local/bin/nvidia-smi", f"#!/bin/sh\necho '{mismatch}'\nexit 18\n"),
        in_place_of(lab, "lab1", "/usr/local/bin/date", "#!/bin/sh\nexec /bin/date -d '-2 hours' \"$@\"\n"),
    ):
        found = checked(project, exit=1)["lab1"]
    assert verdicts(found, "fail") == {"gpus"}
    assert mismatch in found["gpus"]["message"]
    assert "reboot" in found["gpus"]["remedy"]
    assert "behind" in found["clock"]["message"]


def test_what_others_do_on_a_host_must_be_said(lab: Lab, project: Project) -> None:
    project.write(ONE, hosts="{lab1: {}}")
    run = ("docker", "run", "-d", "--label", "deployer.project=other", "--label", "deployer.id=x")
    lab.run("lab1", *run, "-p", "20007:80", "--name", "squatter", "busybox:1", "sleep", "1000000")
    report = project.run("doctor", "--json").json()["hosts"]["lab1"]
    found = {check["check"]: check for check in report["checks"]}
    assert report["projects"] == [{"project": "other", "id": "x", "containers": 1}]
    assert found["listeners"]["evidence"] == ["port 20007: container squatter"]

    lab.run("lab1", "docker", "run", "-d", "--label", "deployer.project=lab", "--label", "deployer.id=theirs",
            "busybox:1", "sleep", "1000000")  # fmt: skip
    assert verdicts(checked(project, exit=1)["lab1"], "fail") == {"projects"}


def test_containers_of_an_apply_that_died_must_be_said(lab: Lab, project: Project) -> None:
    project.write(ONE, hosts="{lab1: {}}")
    project.apply()
    assert checked(project)["lab1"]["containers"]["verdict"] == "pass"
    (name,) = lab.names("lab1")
    lab.run("lab1", "docker", "update", "--restart=no", name)  # as before its first answer
    assert verdicts(checked(project)["lab1"], "warn") >= {"containers"}
    project.apply()
    assert checked(project)["lab1"]["containers"]["verdict"] == "pass"


def test_an_unreachable_host_must_fail_and_the_others_be_checked(lab: Lab, project: Project) -> None:
    project.write(ONE, hosts="{lab1: {}, lab2: {}, lab3: {state: maintenance}}")
    with lab.broken("cut", "lab2"):
        found = checked(project, exit=1)
    assert verdicts(found["lab1"], "fail") == set()
    assert set(found["lab2"]) == {"reachable"}
    assert found["lab3"]["reachable"]["verdict"] == "warn"


@pytest.mark.heavy
def test_an_image_that_was_asked_for_its_flags_must_know_better_than_the_tables(lab: Lab, project: Project) -> None:
    wrong = "chat: {model: tiny, args: [--lookup-cache-dynamik, x]}"
    project.write(wrong, hosts="{lab1: {}}")
    failed = project.apply(exit=1)
    must_name(
        failed, "this build has no flag `--lookup-cache-dynamik`", "services.chat: correct or remove it in `args`"
    )
    kept = next(line for line in failed.err.splitlines() if "the whole log is kept on the host: " in line)
    assert "error: invalid argument: --lookup-cache-dynamik" in lab.run("lab1", "cat", kept.rpartition(": ")[2])
    assert lab.names("lab1") == []
    project.write(ONE, hosts="{lab1: {}}")
    project.apply()
    assert "--flags" in checked(project)["lab1"]["flags"]["message"]
    project.run("doctor", "--flags")
    (said,) = checked(project)["lab1"]["flags"]["evidence"]
    assert "405 flags" in said
    assert len(lab.names("lab1")) == 1, "what was asked is gone"
    project.must_be_settled()
    project.write(wrong, hosts="{lab1: {}}")
    must_name(
        project.run("plan", exit=1), "flag-not-in-image", "--lookup-cache-dynamik", "its own `--help`", "did you mean"
    )
