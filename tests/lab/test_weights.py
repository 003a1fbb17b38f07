"""Weights that hosts fetch themselves from a hub on the lab's network: whole, once, and whatever dies meanwhile."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from labkit import models
from labkit.hosts import Lab
from labkit.project import HEAD, Project, codes, must_name
from labkit.waiting import eventually

from tests.support.hub import Hub, sha256

NAME, FILE, HOST = "org/tiny-GGUF", "tiny-q4_k_m.gguf", "lab1"
ROOT = "/var/lib/deployer/cache/hub/models--org--tiny-GGUF"
EXTRA = random.Random(3).randbytes(3_000_000)
SERVICES = "services:\n  chat: {model: hub, replicas: 2}\n"


@pytest.fixture
def hub(lab: Lab) -> Iterator[Hub]:
    made = Hub((f"{lab.network}.1", 0))
    made.repo(NAME, {FILE: models.tiny_gguf().read_bytes(), "tiny-q8_0.gguf": b"GGUF", "extra.dat": EXTRA})
    yield made
    made.close()


def write(
    project: Project, hub: Hub, model: str = "", host: str = "", services: str = SERVICES, more: str = ""
) -> None:
    head = HEAD.replace("models:\n", f"models:\n  hub: {{source: 'hf://{NAME}'{model}}}\n")
    project.write_whole(
        f"{head}hubs: {{hf: {{endpoint: '{hub.url}'{more}}}}}\nhosts: {{{HOST}: {{{host}}}}}\n{services}"
    )


def must_answer(lab: Lab, project: Project) -> None:
    for replica in project.replicas("chat"):
        status, text = lab.request(HOST, f"{replica['url']}/v1/completions", {"prompt": "hello", "max_tokens": 2})
        assert status == 200, text


def test_a_model_must_be_fetched_once_and_served_from_the_cache(lab: Lab, project: Project, hub: Hub) -> None:
    write(project, hub)
    plan = project.plan()
    fetches = [step for step in plan["steps"] if step["op"] == "fetch-weights"]
    assert [(step["host"], step["bytes"]) for step in fetches] == [(HOST, models.tiny_gguf().stat().st_size)]
    assert hub.served == {}, "a plan fetches nothing"
    project.apply()
    must_answer(lab, project)
    assert hub.served == {FILE: models.tiny_gguf().stat().st_size}, "two replicas, one fetch"
    inspected = lab.inspect(HOST, lab.running(HOST)[0])
    assert [(m["Source"], m["RW"]) for m in inspected["Mounts"]] == [(ROOT, False)]
    hub.repos[NAME].push({FILE: b"GGUF of tomorrow"})
    project.must_be_settled()
    (blob,) = lab.sh(HOST, f"ls -d {ROOT}/blobs/*").split()
    lab.sh(
        HOST, f"cp -p {blob} /run/old; printf x | dd of={blob} bs=1 seek=1000 conv=notrunc; touch -r /run/old {blob}"
    )
    (checked,) = project.run("cache", "verify", "--json").json()["models"]
    assert (checked["ok"], checked["wrong"]) == (True, [FILE])
    assert hub.served == {FILE: 2 * models.tiny_gguf().stat().st_size}
    lab.sh(HOST, f"cmp {blob} /run/old && rm /run/old")
    (model,) = project.run("cache", "ls", "--json").json()["hosts"][HOST]["models"]
    assert (model["state"], model["users"]) == ("whole", sorted(lab.names(HOST)))
    assert project.run("cache", "prune", "-y", "--json").json()["removed"] == []
    hub.close()
    project.must_be_settled()


def test_a_copy_that_is_there_must_be_used_in_place_and_seen_to_change(lab: Lab, project: Project, hub: Hub) -> None:
    commit, content = hub.repos[NAME].at("main"), models.tiny_gguf().read_bytes()
    root = "/srv/hf/hub/models--org--tiny-GGUF"
    blob = f"{root}/blobs/{sha256(content)}"
    lab.sh(HOST, f"mkdir -p {root}/blobs {root}/refs {root}/snapshots/{commit}; printf {commit} >{root}/refs/main")
    lab.put(HOST, blob, content)
    lab.sh(HOST, f"ln -s ../../blobs/{sha256(content)} {root}/snapshots/{commit}/{FILE}")
    write(project, hub, host="model_dirs: [/srv/hf]")
    steps = [(step["host"], step["bytes"]) for step in project.plan()["steps"] if step["op"] == "check-copy"]
    assert steps == [(HOST, len(content))]
    project.apply()
    must_answer(lab, project)
    assert hub.served == {}
    mounts = lab.inspect(HOST, lab.running(HOST)[0])["Mounts"]
    assert [(m["Source"], m["RW"]) for m in mounts] == [(root, False)]
    asked = len(hub.requests)
    project.must_be_settled()
    assert len(hub.requests) == asked, "what runs needs no hub"
    (copy,) = project.run("cache", "ls", "--json").json()["hosts"][HOST]["copies"]
    assert (copy["state"], copy["users"]) == ("whole", sorted(lab.names(HOST)))
    lab.sh(
        HOST, f"cp -p {blob} /run/old; printf x | dd of={blob} bs=1 seek=1000 conv=notrunc; touch -r /run/old {blob}"
    )
    project.must_be_settled()
    must_name(project.run("cache", "verify", exit=1), HOST, FILE, "other content")
    refused = project.plan()
    assert {p["code"] for p in refused["problems"]} == {"copy-refused"}
    assert [change["action"] for change in refused["changes"]] == ["replace", "replace"]
    lab.sh(HOST, f"cat /run/old >{blob}")
    project.destroy()
    hub.close()
    write(project, hub, host="model_dirs: [/srv/hf]")
    assert "not checked against a hub" in project.apply().err
    must_answer(lab, project)
    project.must_be_settled()


@pytest.mark.heavy  # a minute; tests/contract/weights kills more often
def test_a_fetch_must_go_on_where_it_was_killed(lab: Lab, project: Project, hub: Hub) -> None:
    write(project, hub, model=", include: ['*q4_k_m.gguf', '*.dat']")
    hub.faults.rate = 500_000
    running = project.start("apply", "-y")
    kills = 4
    for kill in range(1, kills):
        eventually(lambda kill=kill: hub.total > kill * 400_000, 60)
        lab.sh(HOST, "kill -9 $(pgrep -x curl) 2>/dev/null; true")
    eventually(lambda: hub.total > kills * 400_000, 60)
    project.interrupt(running, signal.SIGKILL)
    running.communicate()
    eventually(lambda: not lab.sh(HOST, "pgrep -x curl; true"), 30)  # nobody is told any more how far it is
    hub.faults.rate = None
    project.run("apply", "-y", "--lock-wait", "120", timeout=300)
    must_answer(lab, project)
    whole = len(EXTRA) + models.tiny_gguf().stat().st_size
    assert whole <= hub.total <= whole + kills * 2 * 262_144, "what was on the way, and no more"


@pytest.mark.heavy
def test_two_projects_at_once_must_fetch_a_model_once(lab: Lab, project: Project, hub: Hub, tmp_path: Path) -> None:
    other = Project(lab, tmp_path / "other")
    other.folder.mkdir()
    hub.faults.rate = 200_000
    for one in (project, other):
        write(one, hub)
    other.edit("project: lab", "project: other")
    other.edit(f"{{{HOST}: {{}}}}", f"{{{HOST}: {{ports: 21000-21100}}}}")
    running = [one.start("apply", "-y") for one in (project, other)]
    for one, process in zip((project, other), running, strict=True):
        one.finish(process, "apply", "-y")
        must_answer(lab, one)
    assert hub.served == {FILE: models.tiny_gguf().stat().st_size}
    other.destroy()


def test_a_disk_that_is_or_becomes_too_small_must_be_said(lab: Lab, project: Project, hub: Hub) -> None:
    include = ", include: ['*q4_k_m.gguf', '*.dat']"
    write(project, hub, model=include, host="reserve: {disk: 100g}")
    refused = project.run("apply", "-y", exit=1)
    assert codes(refused) == {"disk-too-small"}
    assert lab.names(HOST) == []
    write(project, hub, model=include)
    hub.faults.rate = 500_000
    running = project.start("apply", "-y")
    eventually(lambda: hub.total > 300_000, 60)
    lab.fault("fill-disk", HOST, "0")
    failed = project.finish(running, "apply", "-y", exit=1)
    assert codes(failed) == {"disk-full"}
    must_name(failed, HOST, "does not fit", "free space")
    lab.fault("free-disk", HOST)
    hub.faults.rate = None
    project.apply()
    must_answer(lab, project)


def test_a_gated_model_must_be_explained_and_served_with_a_token(lab: Lab, project: Project, hub: Hub) -> None:
    hub.repos[NAME].token = "hf_" + "canary" * 5
    write(project, hub)
    failed = project.run("apply", "-y", exit=1)
    must_name(failed, NAME, "does not give")
    secret = "secrets: {hub: {env: HUB_TOKEN}}\n"
    write(project, hub, more=", token: {secret: hub}", services=secret + SERVICES)
    project.environment["HUB_TOKEN"] = hub.repos[NAME].token
    done = project.apply()
    must_answer(lab, project)
    assert "canary" not in done.text
    assert "canary" not in lab.sh(HOST, "grep -rl canary /var/lib/deployer /tmp /var/tmp /run 2>/dev/null; true")
    for name in lab.running(HOST):
        assert "canary" not in str(lab.inspect(HOST, name))
