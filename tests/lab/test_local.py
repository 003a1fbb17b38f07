"""connection: local, on a host that is its own controller."""

from __future__ import annotations

import json
import sys

from labkit.hosts import REPOSITORY, Lab
from labkit.project import Project

SHORTEST = """\
version: 1
project: demo
hosts:
  here: {connection: local}
models:
  tiny: {source: file:///srv/models/tiny.gguf}
services:
  chat: {model: tiny, image: "registry.lab:5000/ggml-org/llama.cpp:server"}
"""

ENTER = f"cd /srv/scratch && PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={REPOSITORY} {sys.executable}"


def deployer(lab: Lab, host: str, *arguments: str, code: int = 0) -> str:
    """Runs the command line inside the host, as its root would."""
    script = f'{ENTER} -m deployer "$@"; echo "exit $?"'
    said = lab.run(host, "sh", "-c", script, "sh", *arguments)
    text, _, status = said.rstrip().rpartition("exit ")
    assert int(status) == code, said
    return text


def test_the_shortest_spec_must_work_without_ssh(lab: Lab, project: Project) -> None:
    host = "lab3"
    lab.put(host, "/srv/scratch/deploy.yaml", SHORTEST.encode())
    deployer(lab, host, "validate")
    deployer(lab, host, "plan", "--detailed-exitcode", code=2)
    deployer(lab, host, "apply", "-y")
    status = json.loads(deployer(lab, host, "status", "--json"))
    (replica,) = status["services"]["chat"]["replicas"]
    body = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
    code, text = lab.request(host, f"{replica['url']}/v1/chat/completions", body)
    assert code == 200, text
    deployer(lab, host, "plan", "--detailed-exitcode", code=0)
    facts = json.loads(deployer(lab, host, "facts"))
    assert "RTX 4090" in json.dumps(facts)
    deployer(lab, host, "destroy", "-y")
    assert lab.names(host) == []


def test_a_stopped_docker_must_be_named_with_its_remedy(lab: Lab, project: Project) -> None:
    lab.put("lab3", "/srv/scratch/deploy.yaml", SHORTEST.encode())
    with lab.broken("kill-docker", "lab3"):
        script = f"{ENTER} -m deployer plan 2>&1; echo exit $?"
        said = lab.sh("lab3", script)
    assert "exit 1" in said
    assert "Traceback" not in said
    assert "docker" in said.lower()
    assert "hint:" in said
