"""Power returns, or Docker is restarted, and no controller is near: every model of a host comes back by itself."""

from __future__ import annotations

import pytest
from labkit.hosts import Lab, LabError
from labkit.project import HEAD, Project
from labkit.waiting import eventually

pytestmark = pytest.mark.heavy
HOST = "lab1"
PORTS = (8141, 8142, 8143, 8145)
SERVICES = """
one: {model: tiny, port: 8141, env: {ROUND: "0"}, placement: {gpus: ["lab1:0"]}}
two: {model: tiny, port: 8142, options: {gpu_memory: 20g}, placement: {gpus: ["lab1:1"], share: true}}
four: {model: tiny, port: 8145, options: {gpu_memory: 20g}, placement: {gpus: ["lab1:1"], share: true}}
three: {model: tiny, port: 8143}
"""


def answering(lab: Lab, *ports: int) -> list[int]:
    return [port for port in ports if answers(lab, port)]


def answers(lab: Lab, port: int) -> bool:
    try:
        return lab.request(HOST, f"http://127.0.0.1:{port}/health")[0] == 200
    except LabError:
        return False


@pytest.mark.parametrize("ends", ["power-off", "stop-docker", "kill-docker"])
def test_every_model_must_come_back_with_no_controller_near(lab: Lab, project: Project, ends: str) -> None:
    project.write(SERVICES, hosts="{lab1: {}}")
    project.apply()
    project.edit('ROUND: "0"', 'ROUND: "1"')  # leaves a predecessor, which has the same port and GPU
    project.apply()
    before = lab.running(HOST)
    kept = set(lab.names(HOST)) - set(before)
    assert (len(before), len(kept)) == (4, 1)
    lab.fault("kill-ssh", HOST)
    lab.fault(ends, HOST)
    lab.fault("start-docker", HOST)
    eventually(lambda: answering(lab, *PORTS) == [*PORTS], within=60)
    assert lab.running(HOST) == before, "the predecessor stays where it is"
    lab.fault("start-ssh", HOST)
    project.must_be_settled()


def late(project: Project) -> None:
    """One model on a disk that is mounted late, as a file and as a folder, and one beside it."""
    head = HEAD.replace("models:\n", 'models:\n  late: {source: "file:///srv/late/tiny.gguf"}\n')
    services = "  late: {model: late, port: 8144}\n  one: {model: tiny, port: 8141}\n"
    project.write_whole(f"{head}hosts: {{lab1: {{}}}}\nservices:\n{services}")


def test_a_late_mount_must_not_be_served_empty(lab: Lab, project: Project) -> None:
    """Docker refuses to start a container whose source is missing, and does not try again; an apply does."""
    lab.sh(
        HOST, "mkdir -p /srv/late /srv/disk && cp /srv/models/tiny.gguf /srv/disk && mount --bind /srv/disk /srv/late"
    )
    try:
        late(project)
        project.apply()
        lab.fault("kill-ssh", HOST)
        lab.fault("power-off", HOST)
        lab.sh(HOST, "umount /srv/late")
        lab.fault("start-docker", HOST)
        eventually(lambda: answering(lab, 8141) == [8141], within=60)
        assert not answers(lab, 8144)
        assert lab.sh(HOST, "ls -A /srv/late") == "", "nothing was made in its place"
        lab.sh(HOST, "mount --bind /srv/disk /srv/late")
        lab.fault("start-ssh", HOST)
        project.apply()
        assert answering(lab, 8141, 8144) == [8141, 8144]
        project.must_be_settled()
    finally:
        lab.sh(HOST, "umount /srv/late", check=False)
