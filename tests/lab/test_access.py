"""Reaching hosts: users, sudo, jump hosts, host keys, the system's ssh client, hosts that are away."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from labkit.hosts import Lab
from labkit.project import Project, must_name


def test_a_user_in_the_docker_group_must_be_enough(lab: Lab, project: Project) -> None:
    lab.sh("lab1", "install -d -o ops -g ops /var/lib/deployer")
    project.write("chat: {model: tiny}", hosts="{lab1: {user: ops}}")
    project.apply()
    project.must_be_settled()
    project.destroy()
    assert lab.names() == []


def test_a_user_who_cannot_write_the_state_folder_must_be_told_what_to_run(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny}", hosts="{lab1: {user: ops}}")
    failed = project.run("apply", "-y", exit=1)
    must_name(failed, "lab1", "/var/lib/deployer")
    assert lab.names() == []
    lab.sh("lab1", "install -d -o ops -g ops /var/lib/deployer")
    project.apply()


def test_a_user_without_docker_must_get_an_error_of_its_own(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny}", hosts="{lab1: {user: guest}}")
    failed = project.run("plan", exit=1)
    must_name(failed, "lab1", "guest", "docker")


def test_become_sudo_must_reach_docker(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny}", hosts="{lab1: {user: admin, become: sudo}}")
    project.apply()
    project.must_be_settled()
    project.destroy()
    assert lab.names() == []


def test_sudo_that_asks_for_a_password_must_be_an_error(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny}", hosts="{lab1: {user: guest, become: sudo}}")
    failed = project.run("plan", exit=1)
    must_name(failed, "lab1", "sudo")


@pytest.mark.parametrize("hosts", ["{lab1: {connection: openssh}, lab2: {}}"])
def test_the_systems_ssh_must_do_the_same(lab: Lab, project: Project, hosts: str) -> None:
    project.write("chat: {model: tiny, replicas: 2, placement: {gpus: none, max_per_host: 1}}", hosts=hosts)
    project.apply()
    assert {r["host"] for r in project.replicas("chat")} == {"lab1", "lab2"}
    project.must_be_settled()
    project.destroy()
    assert lab.names() == []


def test_openssh_with_sudo_must_reach_docker(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny}", hosts="{lab1: {connection: openssh, user: admin, become: sudo}}")
    project.apply()
    project.must_be_settled()


@pytest.mark.parametrize("connection", ["ssh", "openssh"])
def test_a_jump_host_of_the_spec_must_be_used(lab: Lab, project: Project, connection: str) -> None:
    project.write("chat: {model: tiny}", hosts=f"{{lab3: {{jump: lab1, connection: {connection}}}}}")
    with lab.broken("hide", "lab3"):
        project.apply()
        project.must_be_settled()
        project.destroy()
    assert lab.names() == []


def test_a_jump_host_of_the_ssh_config_must_be_used(lab: Lab, project: Project) -> None:
    text = lab.ssh_config.read_text()
    config = project.folder / "ssh_config"
    config.write_text("Host lab3\n  ProxyJump lab1\n" + text)
    project.ssh_config = config
    project.write("chat: {model: tiny}", hosts="{lab3: {}}")
    with lab.broken("hide", "lab3"):
        project.apply()
        project.must_be_settled()


def test_an_unknown_host_key_must_be_refused(lab: Lab, project: Project) -> None:
    (project.folder / "empty").write_text("")
    project.ssh_config = lab.ssh_config_for(
        project.folder / "config", UserKnownHostsFile=str(project.folder / "empty"), GlobalKnownHostsFile="/dev/null"
    )
    project.write("chat: {model: tiny}", hosts="{lab1: {}}")
    failed = project.run("plan", exit=1)
    must_name(failed, "lab1", "key")
    assert (project.folder / "empty").read_text() == "", "an unknown key must not be learnt"


def test_a_changed_host_key_must_be_refused_and_say_so(lab: Lab, project: Project) -> None:
    known = project.folder / "known_hosts"
    other = (lab.directory / "keys" / "lab2.pub").read_text().split()[:2]
    known.write_text(f"{lab.address('lab1')} {' '.join(other)}\n")
    project.ssh_config = lab.ssh_config_for(
        project.folder / "config", UserKnownHostsFile=str(known), GlobalKnownHostsFile="/dev/null"
    )
    project.write("chat: {model: tiny}", hosts="{lab1: {}}")
    failed = project.run("plan", exit=1)
    must_name(failed, "lab1", "changed")


def test_a_refused_key_must_be_an_error_of_its_own(lab: Lab, project: Project, tmp_path: Path) -> None:
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", key], check=True)
    project.ssh_config = lab.ssh_config_for(tmp_path / "config", IdentityFile=str(key), IdentityAgent="none")
    text = project.ssh_config.read_text().replace(f"  IdentityFile {lab.directory}/id_ed25519\n", "")
    project.ssh_config.write_text(text)
    project.write("chat: {model: tiny}", hosts="{lab1: {}}")
    failed = project.run("plan", exit=1)
    must_name(failed, "lab1", "key")


def test_one_host_of_three_away_must_fail_and_name_it(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny, replicas: 3}")
    with lab.broken("cut", "lab2"):
        failed = project.run("apply", "-y", exit=1)
        must_name(failed, "lab2")
        assert "`lab1`" not in failed.err, "hosts that answer are not to blame"
    assert lab.names() == [], "nothing may start while a host is missing beyond the policy"
    project.apply()
    assert len(lab.names()) == 3
    project.must_be_settled()


def test_sshd_down_must_be_unreachable_not_a_traceback(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny}", hosts="{lab1: {}}")
    with lab.broken("kill-ssh", "lab1"):
        failed = project.run("facts", exit=1)
    must_name(failed, "lab1")


def test_docker_down_must_be_named(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny}", hosts="{lab1: {}}")
    with lab.broken("kill-docker", "lab1"):
        failed = project.run("plan", exit=1)
    must_name(failed, "lab1", "ocker")


def test_facts_must_tell_what_the_hosts_are(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny}")
    facts = project.run("facts").json()
    hosts = facts["hosts"]
    assert set(hosts) == {"lab1", "lab2", "lab3"}
    uuids = [g["uuid"] for g in hosts["lab2"]["gpu"]["gpus"]]
    assert uuids == lab.gpu_uuids("lab2")
    assert hosts["lab1"]["gpu"]["driver"] == "550.90.07"
