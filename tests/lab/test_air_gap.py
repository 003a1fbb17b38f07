"""A deployment carried to hosts that reach nothing but each other, with every packet counted that tries to leave."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from labkit import models
from labkit.hosts import LLAMA, OPEN_PORT, Lab
from labkit.project import HEAD, Project, codes, must_name
from labkit.relay import BadRegistry

from tests.support.hub import Hub

NAME, FILE, HOSTS = "org/tiny-GGUF", "tiny-q4_k_m.gguf", ("lab1", "lab2")
EXTRA = random.Random(3).randbytes(3_000_000)
COUNT = "iptables -nvxL AIRGAP | awk 'END { print $1 }'"


@contextmanager
def sealed(lab: Lab) -> Iterator[None]:
    """The hosts have a way out, and what takes it is counted and dropped: all that is neither for another host, nor for
    a container of their own, nor an answer to whoever came from outside."""
    gateway = f"{lab.network}.1"
    kept = "".join(f"iptables -A AIRGAP -d {lab.address(host)} -j RETURN\n" for host in lab.hosts)
    rules = f"""set -e
        ip route replace default via {gateway}
        iptables -N AIRGAP
        iptables -A AIRGAP -o lo -j RETURN
        iptables -A AIRGAP -o docker0 -j RETURN
        {kept}
        iptables -A AIRGAP -d {gateway} -m conntrack --ctstate ESTABLISHED -j RETURN
        iptables -A AIRGAP -j DROP
        iptables -I OUTPUT 1 -j AIRGAP
        iptables -I FORWARD 1 -i docker0 -j AIRGAP
        """
    opened = f"""iptables -D OUTPUT -j AIRGAP; iptables -D FORWARD -i docker0 -j AIRGAP
        iptables -F AIRGAP; iptables -X AIRGAP; ip route del default via {gateway}; true"""
    try:
        for host in HOSTS:
            lab.sh(host, rules)
            lab.sh(host, f"curl -sS -m 2 http://192.0.2.1/ http://{gateway}:{OPEN_PORT}/v2/ 2>/dev/null; true")
            assert int(lab.sh(host, COUNT)) >= 2, "what tries to leave is counted"
            lab.sh(host, "iptables -Z AIRGAP")
        yield
        assert {host: int(lab.sh(host, COUNT)) for host in HOSTS} == dict.fromkeys(HOSTS, 0)
    finally:
        for host in HOSTS:
            lab.sh(host, opened)


@pytest.fixture
def hub(lab: Lab) -> Iterator[Hub]:
    made = Hub((f"{lab.network}.1", 0))
    made.repo(NAME, {FILE: models.tiny_gguf().read_bytes(), "extra.dat": EXTRA})
    yield made
    made.close()


@pytest.fixture
def outside(project: Project, tmp_path: Path) -> Project:
    """The same person at a desk with internet: another folder, the same keys."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    key = home / ".ssh/id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, timeout=30)
    (home / ".ssh/allowed_signers").write_text(f"ops {key.with_name('id_ed25519.pub').read_text()}")
    project.environment["HOME"] = str(home)
    project.folder = tmp_path / "inside"
    project.folder.mkdir()
    made = Project(project.lab, tmp_path / "outside", dict(project.environment))
    made.folder.mkdir()
    return made


@pytest.mark.heavy
def test_a_rollout_an_upgrade_and_a_rollback_must_come_from_bundles_alone(
    lab: Lab, project: Project, outside: Project, hub: Hub
) -> None:
    with BadRegistry(f"{lab.network}.1", OPEN_PORT) as registry:
        name = registry.name.replace("registry.lab", f"{lab.network}.1")
        image = LLAMA.replace(f"registry.lab:{OPEN_PORT}", name)
        outside.write_whole(
            HEAD.replace("models:\n", f"models:\n  hub: {{source: 'hf://{NAME}', include: ['*.gguf', '*.dat']}}\n")
            + f"hubs: {{hf: {{endpoint: '{hub.url}'}}}}\nregistries: {{'{name}': {{plain_http: true}}}}\n"
            + "hosts: {lab1: {}, lab2: {}}\nservices:\n"
            + f"  chat: {{model: hub, image: '{image}', replicas: 2, placement: {{gpus: none, max_per_host: 1}}}}\n"
        )
        outside.run("lock")
        outside.run("bundle", "create", "-o", "first.tar", "--split", "2m", "--sequence", "1")
        hub.repos[NAME].push({FILE: models.tiny_gguf().read_bytes(), "extra.dat": EXTRA[::-1]})
        outside.run("lock", "--upgrade", "hub")
        outside.run("bundle", "create", "-o", "second", "--since", "first.tar", "--sequence", "2")
        for host in HOSTS:
            lab.sh(host, f"docker rmi -f $(docker images -q {LLAMA})")  # whatever else it is called
        try:
            refused = outside.run("plan", "--offline", exit=1)
            assert codes(refused) == {"offline"}
            must_name(refused, f"would fetch `hf://{NAME}` from `{lab.network}.1`", f"would pull `{image}` from")
            registry.die()
            hub.close()
            (outside.folder / "deploy.yaml").rename(outside.folder / "kept.yaml")
            with sealed(lab):
                carry(lab, project, outside)
        finally:
            for host in HOSTS:
                lab.run(host, "docker", "pull", "-q", LLAMA)


def carry(lab: Lab, project: Project, outside: Project) -> None:
    """All that happens on the inside."""
    first, second = outside.folder / "first.tar", outside.folder / "second"
    must_refuse_a_tampered_part(lab, project, first)
    refused = project.run("apply", "-y", "--bundle", str(first), "--allowed-signers", "/dev/null", exit=3)
    assert codes(refused) == {"unknown-signer"}
    project.run("apply", "-y", "--bundle", str(first), timeout=300)
    shutil.copy(outside.folder / "kept.yaml", project.folder / "deploy.yaml")
    must_serve(lab, project)
    blob = max((second / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    assert blob.stat().st_size == len(EXTRA), "a delta holds what is new, and no image"
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    before = lab.running(*HOSTS)
    assert codes(project.run("apply", "-y", "--bundle", str(second), exit=1)) == {"bundle-tampered"}
    assert lab.running(*HOSTS) == before
    blob.write_bytes(whole)
    project.run("apply", "-y", "--bundle", str(second), timeout=300)
    must_serve(lab, project)
    upgraded = lab.running(*HOSTS)
    assert not {*upgraded} & {*before}
    project.run("rollback", "-y", "--offline", timeout=300)
    must_serve(lab, project)
    assert lab.running(*HOSTS) == before, "each host has its own record, image and weights"
    project.run("apply", "-y", "--bundle", str(second), exit=3)  # held
    project.run("apply", "-y", "--bundle", str(second), "--resume", timeout=300)
    assert lab.running(*HOSTS) == upgraded
    assert codes(project.run("apply", "-y", "--bundle", str(first), exit=3)) == {"bundle-older"}
    project.run("apply", "-y", "--bundle", str(first), "--allow-older", timeout=300)
    must_serve(lab, project)
    assert lab.running(*HOSTS) == before


def must_refuse_a_tampered_part(lab: Lab, project: Project, bundle: Path) -> None:
    """One bit of one of its parts, whichever; nothing of it is on any host then."""
    parts = sorted(bundle.parent.glob(f"{bundle.name}.part-*"))
    assert len(parts) > 2
    part = random.Random(9).choice(parts[1:])
    whole = part.read_bytes()
    middle = len(whole) // 2
    part.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    refused = project.run("apply", "-y", "--bundle", str(bundle), exit=1)
    assert codes(refused) == {"bundle-tampered"}
    for host in HOSTS:
        assert lab.names(host) == []
        assert lab.sh(host, "find /var/lib/deployer -type f 2>/dev/null | head; true") == ""
    part.write_bytes(whole)


def must_serve(lab: Lab, project: Project) -> None:
    replicas = project.replicas("chat")
    assert sorted(replica["host"] for replica in replicas) == [*HOSTS]
    for replica in replicas:
        status, text = lab.request(
            replica["host"], f"{replica['url']}/v1/completions", {"prompt": "a", "max_tokens": 2}
        )
        assert status == 200, text
