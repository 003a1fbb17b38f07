"""Ports on hosts that have a life of their own: it is said whose they are, and none is given twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from labkit.hosts import BUSYBOX, Lab
from labkit.project import Project, changes, must_name
from labkit.waiting import eventually

PORT = 8100
FIXED = f"chat: {{model: tiny, port: {PORT}}}"
NEXT = f"chat: {{model: tiny, port: {{number: {PORT}, on_conflict: next}}}}"
ONE_HOST = "{lab1: {}}"
LISTENER = "/srv/scratch/listen.py"
# Listens on an address and a port: now, as soon as Docker makes a container, or as soon as the port is free.
LISTEN = """
import os, socket, sys, time
family, address, port, when = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
made = "/var/lib/docker/containers"
before = set(os.listdir(made))
while when == "create" and set(os.listdir(made)) <= before:
    time.sleep(0.0005)
sock = socket.socket(getattr(socket, family))
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
while True:
    try:
        sock.bind((address, port))
        break
    except OSError:
        if when != "free":
            raise
        time.sleep(0.0005)
sock.listen()
time.sleep(600)
"""


@contextmanager
def stranger(
    lab: Lab, host: str = "lab1", address: str = "0.0.0.0", when: str = "now", port: int = PORT
) -> Iterator[int]:
    """A process of the host that listens; its pid."""
    lab.put(host, LISTENER, LISTEN.encode())
    family = "AF_INET6" if ":" in address else "AF_INET"
    argv = f"python3 {LISTENER} {family} {address} {port} {when}"
    pid = int(lab.sh(host, f"setsid {argv} </dev/null >/srv/scratch/listen.log 2>&1 & echo $!"))
    try:
        if when == "now":
            eventually(lambda: f":{port} " in lab.sh(host, "ss -Htln"))
        yield pid
    finally:
        lab.sh(host, f"kill {pid}", check=False)


def owners(project: Project, host: str = "lab1", port: int = PORT) -> dict[str, str | None]:
    """Address -> whose the listener is, as `facts` says."""
    listeners = project.run("facts").json()["hosts"][host]["listeners"]
    return {x["address"]: x["owner"] for x in listeners if x["port"] == port and x["protocol"] == "tcp"}


def ports(project: Project) -> dict[str, int]:
    """Replica -> port, of a plan made now."""
    placed = project.plan()["placements"]
    return {f"{p['service']}-{p['replica']}": p["members"][0]["port"] for p in placed}


def another(project: Project, tmp_path: Path, services: str) -> Project:
    """A project of somebody else's on the same hosts."""
    folder = tmp_path / "other"
    folder.mkdir()
    other = Project(project.lab, folder)
    other.write(services, hosts=ONE_HOST)
    other.edit("project: lab\nid: lab-tests", "project: others\nid: others-id")
    return other


def test_a_process_that_listens_must_be_named_whatever_its_address(lab: Lab, project: Project) -> None:
    project.write(FIXED, hosts=ONE_HOST)
    for address, where in (("::", ""), ("0.0.0.0", ""), ("127.0.0.1", "127.0.0.1"), ("::1", "::1")):
        with stranger(lab, address=address) as pid:
            failed = project.run("plan", exit=1)
            must_name(failed, str(PORT), f"process python3 (pid {pid})", where, "`port.on_conflict` to next")
            assert owners(project) == {address: f"process python3 (pid {pid})"}
    project.run("plan")


def test_a_user_who_may_not_see_whose_a_port_is_must_still_not_get_it(lab: Lab, project: Project) -> None:
    lab.sh("lab1", "install -d -o ops -g ops /var/lib/deployer")
    project.write(FIXED, hosts="{lab1: {user: ops}}")
    with stranger(lab):
        must_name(project.run("apply", "-y", exit=1), str(PORT), "a process that is not visible to this user")
        assert owners(project) == {"0.0.0.0": None}
    assert lab.names() == []


def test_a_docker_proxy_whose_container_is_gone_must_be_called_that(lab: Lab, project: Project) -> None:
    project.write(FIXED, hosts=ONE_HOST)
    argv = f"docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port {PORT} -container-ip 172.17.0.99 -container-port 80"
    pid = int(lab.sh("lab1", f"setsid {argv} </dev/null >/dev/null 2>&1 3>&1 & echo $!"))
    try:
        eventually(lambda: f":{PORT} " in lab.sh("lab1", "ss -Htln"))
        failed = project.run("plan", exit=1)
        must_name(failed, str(PORT), "leftover docker-proxy", f"(pid {pid})", f"kill {pid}")
    finally:
        lab.sh("lab1", f"kill {pid}")
    eventually(lambda: f":{PORT} " not in lab.sh("lab1", "ss -Htln"))
    project.apply()


def test_a_container_on_the_hosts_network_must_be_named(lab: Lab, project: Project) -> None:
    server = (BUSYBOX, "busybox", "httpd", "-f", "-p", str(PORT))
    lab.run("lab1", "docker", "run", "-d", "--name", "squatter", "--network", "host", *server)
    eventually(lambda: f":{PORT} " in lab.sh("lab1", "ss -Htln"))
    project.write(FIXED, hosts=ONE_HOST)
    must_name(project.run("apply", "-y", exit=1), str(PORT), "container squatter")
    assert lab.names() == ["squatter"]


def test_ours_on_the_hosts_network_must_keep_its_port_from_all_others(lab: Lab, project: Project) -> None:
    api = f"api: {{model: tiny, port: {PORT}, container: {{network: host}}}}"
    project.write(api, hosts=ONE_HOST)
    project.apply()
    project.must_be_settled()
    (name,) = lab.names()
    assert set(owners(project).values()) == {f"container {name}"}
    project.write(f"{api}\n{FIXED}", hosts=ONE_HOST)
    must_name(project.run("apply", "-y", exit=1), str(PORT), "`api`")
    project.write(f"{api}\nchat: {{model: tiny}}", hosts=ONE_HOST)
    project.apply()
    assert ports(project) == {"api-0": PORT, "chat-0": 20000}
    project.must_be_settled()


def test_next_must_pick_another_port_show_it_and_keep_it_ever_after(lab: Lab, project: Project) -> None:
    project.write(NEXT, hosts=ONE_HOST)
    with stranger(lab):
        assert "20000" in project.run("plan").out
        project.apply()
        project.must_be_settled()
    project.must_be_settled()
    assert ports(project) == {"chat-0": 20000}, "though the port that was asked for is free now"
    project.edit("context_length: 256", "context_length: 512")
    project.apply()
    assert ports(project) == {"chat-0": 20000}
    assert lab.request("lab1", "http://127.0.0.1:20000/health")[0] == 200
    project.must_be_settled()


def test_replicas_and_projects_on_one_host_must_get_a_port_each(lab: Lab, project: Project, tmp_path: Path) -> None:
    project.write("chat: {model: tiny, replicas: 2}\ndraft: {model: tiny}", hosts=ONE_HOST)
    project.apply()
    other = another(project, tmp_path, "chat: {model: tiny, replicas: 2}")
    other.apply()
    assert sorted([*ports(project).values(), *ports(other).values()]) == [20000, 20001, 20002, 20003, 20004]
    project.must_be_settled()
    other.must_be_settled()
    project.write("chat: {model: tiny, port: 20003}", hosts=ONE_HOST)
    must_name(project.run("plan", exit=1), "20003", "container others_chat_0_")


def lost(lines: list[Any]) -> dict[str, Any]:
    """The diagnostic of the only step that failed."""
    (failed,) = lines[-1]["failed"]
    return dict(failed["diagnostic"])


def test_a_port_lost_between_plan_and_start_must_fail_that_replica_alone(lab: Lab, project: Project) -> None:
    project.write(f"{FIXED}\nfar: {{model: tiny, placement: {{hosts: [lab2], gpus: none}}}}",
                  hosts="{lab1: {}, lab2: {}}")  # fmt: skip
    project.edit("chat: {model: tiny,", "chat: {model: tiny, placement: {hosts: [lab1], gpus: none},")
    with stranger(lab, when="create") as pid:
        failed = project.apply(exit=1)
        must_name(failed, f"port {PORT}", f"process `python3` (pid {pid})")
        assert lab.names("lab1") == [], "no half-made container"
        assert len(lab.running("lab2")) == 1, "others go on"
    project.apply()
    project.must_be_settled()
    assert len(lab.running("lab1")) == 1


def test_a_port_lost_on_the_hosts_network_must_be_seen_though_somebody_answers_there(
    lab: Lab, project: Project
) -> None:
    project.write(f"chat: {{model: tiny, port: {PORT}, container: {{network: host}}}}", hosts=ONE_HOST)
    with stranger(lab, when="create"):
        failed = project.apply(exit=1)
        must_name(failed, "chat", str(PORT))
        assert lab.running() == []
    project.apply()
    project.must_be_settled()


def test_a_port_lost_while_a_successor_takes_over_must_leave_the_rest_in_order(lab: Lab, project: Project) -> None:
    project.write(FIXED, hosts=ONE_HOST)
    project.apply()
    (before,) = lab.running()
    project.edit("context_length: 256", "context_length: 512")
    assert [c["action"] for c in changes(project.plan())] == ["replace"]
    with stranger(lab, address="127.0.0.1", when="free") as pid:
        failed = project.apply(exit=1)
        must_name(failed, f"port {PORT}", f"(pid {pid})")
        assert lab.names() == [before], "the successor is gone, the predecessor is kept"
        assert not lab.running()
    project.apply()
    project.must_be_settled()
    assert len(lab.running()) == 1


@pytest.mark.parametrize("bind", ["::1", "::", "0.0.0.0"])
def test_an_address_of_either_kind_must_be_served_and_its_port_be_kept(lab: Lab, project: Project, bind: str) -> None:
    project.write(f'chat: {{model: tiny, port: {{number: {PORT}, bind: "{bind}"}}}}', hosts=ONE_HOST)
    project.apply()
    project.must_be_settled()
    (name,) = lab.running()
    assert owners(project)[bind] == f"container {name}"
    local = "[::1]" if ":" in bind else "127.0.0.1"
    assert lab.request("lab1", f"http://{local}:{PORT}/health")[0] == 200
    url = project.replica("chat")["url"]
    assert url == f"http://{'[::1]' if bind == '::1' else 'lab1'}:{PORT}"
