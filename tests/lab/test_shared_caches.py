"""Hosts whose caches are one folder of a file server: what one of them brings is there for all."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from labkit import models
from labkit.fileserver import file_server
from labkit.hosts import Lab
from labkit.project import HEAD, Project, codes

from tests.support.hub import Hub

NAME, FILE = "org/tiny-GGUF", "tiny-q4_k_m.gguf"
EXTRA = random.Random(5).randbytes(3_000_000)
HOSTS, MOUNT = ("lab1", "lab2"), "/mnt/nas"
BLOBS = f"{MOUNT}/hf/hub/models--org--tiny-GGUF/blobs"


@pytest.fixture
def hub(lab: Lab) -> Iterator[Hub]:
    made = Hub((f"{lab.network}.1", 0))
    made.repo(NAME, {FILE: models.tiny_gguf().read_bytes(), "extra.dat": EXTRA})
    yield made
    made.close()


@pytest.fixture
def served(lab: Lab, project: Project, tmp_path: Path) -> Iterator[None]:
    folder = tmp_path / "nas"
    folder.mkdir()
    with file_server(lab, folder, "nas.lab:/models", HOSTS, MOUNT):
        yield


@pytest.fixture
def whole() -> int:
    return len(EXTRA) + models.tiny_gguf().stat().st_size


def write(project: Project, hub: Hub, hosts: tuple[str, ...] = HOSTS, model: str = "hub") -> None:
    mine = f"  hub: {{source: 'hf://{NAME}', include: ['*.gguf', '*.dat']}}\n" if model == "hub" else ""
    head = HEAD.replace("models:\n", f"models:\n{mine}")
    said = ", ".join(f"{name}: {{cache_dir: {MOUNT}/hf}}" for name in hosts)
    count = f"replicas: {len(hosts)}, placement: {{gpus: none, max_per_host: 1}}"
    services = f"services:\n  chat: {{model: {model}, {count}}}\n"
    project.write_whole(f"{head}hubs: {{hf: {{endpoint: '{hub.url}'}}}}\nhosts: {{{said}}}\n{services}")


@pytest.mark.usefixtures("served")
def test_a_folder_that_hosts_share_must_be_filled_once_and_kept_while_any_uses_it(
    lab: Lab, project: Project, hub: Hub, whole: int, tmp_path: Path
) -> None:
    write(project, hub)
    fetches = {step["host"]: step for step in project.plan()["steps"] if step["op"] == "fetch-weights"}
    assert {host: step["bytes"] for host, step in fetches.items()} == {"lab1": whole, "lab2": 0}
    project.run("cache", "pull")
    assert hub.total == whole
    assert lab.sh("lab2", f"ls {BLOBS}/*.part 2>/dev/null; ls {BLOBS} | wc -l").strip() == "2"
    assert [step for step in project.plan()["steps"] if step["op"] == "fetch-weights"] == []
    seen = project.run("cache", "ls", "--json").json()["hosts"]
    assert {name: (seen[name]["shared"], seen[name]["shared_with"]) for name in HOSTS} == {
        "lab1": ("nas.lab:/models/hf", ["lab2"]),
        "lab2": ("nas.lab:/models/hf", ["lab1"]),
    }
    label = json.dumps({"cached": [{"manifest": seen["lab1"]["models"][0]["id"]}]})
    lab.run("lab2", "docker", "create", "--name", "others", "--label", f"deployer.decisions={label}", "busybox:1")
    write(project, hub, model="tiny")
    refused = project.run("cache", "prune", "-y", "--json")
    assert refused.json()["removed"] == []
    assert "warning[shared-cache]" in refused.err
    assert project.run("cache", "prune", "-y", "--shared", "--json", "lab1").json()["removed"] == []
    lab.run("lab2", "docker", "rm", "others")
    (removed,) = project.run("cache", "prune", "-y", "--shared", "--json").json()["removed"]
    assert (removed["bytes"], removed["freed"]) == (whole, whole)


@pytest.mark.heavy
@pytest.mark.usefixtures("served")
def test_replicas_on_hosts_that_share_a_folder_must_serve_from_it(
    lab: Lab, project: Project, hub: Hub, whole: int
) -> None:
    write(project, hub)
    hub.faults.rate = 2_000_000
    project.apply()
    assert hub.total == whole
    for replica in project.replicas("chat"):
        url = f"{replica['url']}/v1/completions"
        assert lab.request(replica["host"], url, {"prompt": "a", "max_tokens": 2})[0] == 200
    project.must_be_settled()
    blob = lab.sh("lab2", f"ls -S {BLOBS}/* | head -1").strip()
    lab.sh("lab2", f"cp -p {blob} /run/old; printf x | dd of={blob} bs=1 seek=9 conv=notrunc; touch -r /run/old {blob}")
    (checked,) = project.run("cache", "verify", "--json").json()["models"]
    assert (checked["host"], checked["ok"], len(checked["wrong"])) == ("lab1", True, 1)
    lab.sh("lab2", f"cmp {blob} /run/old && rm /run/old")


@pytest.mark.heavy
@pytest.mark.usefixtures("served")
def test_a_copy_on_a_file_server_must_be_read_once(lab: Lab, project: Project, hub: Hub, whole: int) -> None:
    """In place, by one host; what it found counts on the other, and the copy is as it was."""
    write(project, hub)
    project.run("cache", "pull")
    lab.sh("lab1", f"cp -rL {MOUNT}/hf/hub/models--org--tiny-GGUF/snapshots/* {MOUNT}/copy && rm -rf {MOUNT}/hf")
    lab.sh("lab1", f"mkdir -p {MOUNT}/models/org && mv {MOUNT}/copy {MOUNT}/models/{NAME}")
    text = (project.folder / "deploy.yaml").read_text()
    project.write_whole(text.replace(f"cache_dir: {MOUNT}/hf", f"model_dirs: [{MOUNT}/models]"))
    reads = {step["host"]: step["bytes"] for step in project.plan()["steps"] if step["op"] == "check-copy"}
    assert reads == {"lab1": whole, "lab2": 0}
    project.apply()
    records = [lab.sh(host, "cat /var/lib/deployer/model_dirs/*") for host in HOSTS]
    assert sorted(records[0].splitlines()) == sorted(records[1].splitlines())
    assert hub.total == whole, "by the cache pull before"
    project.must_be_settled()
    checked = project.run("cache", "verify", "--json").json()["copies"]
    assert [(one["host"], one["ok"]) for one in checked] == [("lab1", True)]


@pytest.mark.heavy
@pytest.mark.usefixtures("served")
def test_two_projects_at_once_must_fill_it_once(
    lab: Lab, project: Project, hub: Hub, whole: int, tmp_path: Path
) -> None:
    """Neither knows of the other: the folder's own lock keeps one of them waiting."""
    other = Project(lab, tmp_path / "other")
    other.folder.mkdir()
    hub.faults.rate = 400_000
    write(project, hub, ("lab1",))
    write(other, hub, ("lab2",))
    other.edit("project: lab", "project: other")
    pulls = [threading.Thread(target=one.run, args=("cache", "pull")) for one in (project, other)]
    for pull in pulls:
        pull.start()
    for pull in pulls:
        pull.join()
    assert hub.total == whole
    assert [run.code for one in (project, other) for run in one.runs] == [0, 0]
    sums = {lab.sh(host, f"cd {BLOBS} && sha256sum *") for host in HOSTS}
    assert len(sums) == 1


@pytest.mark.heavy
@pytest.mark.usefixtures("served")
def test_a_file_server_that_is_too_small_must_be_said_for_all_hosts(lab: Lab, project: Project, hub: Hub) -> None:
    write(project, hub)
    lab.sh("lab1", f"fallocate -l 198M {MOUNT}/big")
    refused = project.run("apply", "-y", exit=1)
    assert codes(refused) == {"disk-too-small"}
    assert lab.names(*HOSTS) == []
