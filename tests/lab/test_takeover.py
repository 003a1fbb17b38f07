"""`replaces`: a service takes port and GPU over from a container that somebody made by hand."""

from __future__ import annotations

from labkit.hosts import STAND_IN, Lab
from labkit.project import Project, changes
from labkit.waiting import eventually

CHAT = """
chat:
  model: tiny
  image: "${var.standin}"
  port: 8400
  placement: {hosts: [lab1], gpus: 1}
  replaces: ["lab1:old-vllm"]
  health: {ready_timeout: 10s, stall_timeout: 5s}
"""


def hand_made(lab: Lab) -> str:
    """As people start one: on the first GPU, published, coming back by itself."""
    uuid = lab.sh("lab1", "nvidia-smi --query-gpu=uuid --format=csv,noheader").split()[0]
    lab.run(
        "lab1", "docker", "run", "-d", "--name", "old-vllm", "--restart", "always", "--gpus", f"device={uuid}",
        "-p", "8400:8080", STAND_IN, "-m", "/etc/hosts", "--alias", "old", "--port", "8080",
    )  # fmt: skip
    return uuid


def state(lab: Lab) -> tuple[str, str]:
    found = lab.inspect("lab1", "old-vllm")
    return found["State"]["Status"], found["HostConfig"]["RestartPolicy"]["Name"]


def test_port_and_gpu_must_be_taken_over_and_the_old_one_kept(lab: Lab, project: Project) -> None:
    uuid = hand_made(lab)
    project.write(CHAT, hosts="{lab1: {}}")
    planned = project.plan("--detailed-exitcode", exit=2)
    (change,) = changes(planned)
    assert {"new", "replaces"} <= {r["code"] for r in change["reasons"]}
    assert planned["rollout"]["downtime"], "the plan must say that nothing answers for a while"
    assert "old-vllm" in project.run("plan").out
    project.apply()
    assert state(lab) == ("exited", "no")
    replica = project.replica("chat")
    assert replica["gpus"] == [uuid]
    assert str(replica["url"]).endswith(":8400")
    project.must_be_settled()
    project.destroy()
    assert state(lab) == ("exited", "no"), "what was kept is not ours to remove"


def test_a_successor_that_fails_must_bring_the_old_one_back(lab: Lab, project: Project) -> None:
    hand_made(lab)
    project.write(CHAT.replace("port: 8400", 'port: 8400\n  env: {STANDIN_DELAY: "60"}'), hosts="{lab1: {}}")
    project.apply(exit=1)
    assert state(lab) == ("running", "always")
    assert lab.names("lab1") == ["old-vllm"], "no half-made container may be left"
    eventually(lambda: lab.sh("lab1", "curl -fsS http://127.0.0.1:8400/health || true"), within=20)


def test_without_the_key_it_must_never_be_touched(lab: Lab, project: Project) -> None:
    hand_made(lab)
    project.write(CHAT.replace('  replaces: ["lab1:old-vllm"]\n', ""), hosts="{lab1: {}}")
    refused = project.apply(exit=1)
    assert "old-vllm" in refused.err
    assert state(lab) == ("running", "always")
