"""The pipelines in specs/ci: their lines are run as a runner would, up to where a host is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployer.values.facts_json import facts_to_data
from tests.support.planning import MODEL
from tests.support.world import IDENTITY, World

CI = Path(__file__).resolve().parents[2] / "specs" / "ci"
SPEC: dict[str, Any] = {
    "version": 1,
    "project": IDENTITY[0],
    "id": IDENTITY[1],
    "hosts": {"h1": {"address": "192.0.2.1"}},
    "models": {"m": {"source": f"file://{MODEL}"}},
    "services": {"chat": {"model": "m", "backend": "llama.cpp", "placement": {"gpus": "none"}}},
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with facts.json committed, and `deployer` and `pip` on the PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, line in {"deployer": f'exec {sys.executable} -m deployer "$@"', "pip": "exit 0"}.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    (tmp_path / "deploy.yaml").write_text(json.dumps(SPEC))
    facts = World({"h1": 0}).observe({MODEL}, IDENTITY)
    (tmp_path / "facts.json").write_text(json.dumps(facts_to_data(facts)))
    return tmp_path


def run(checkout: Path, script: str) -> subprocess.CompletedProcess[str]:
    path = f"{checkout / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(checkout / "home"), "GITHUB_STEP_SUMMARY": str(checkout / "summary.md")}
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(shell, cwd=checkout, env=environment, capture_output=True, text=True, timeout=60, check=False)


def github(job: str, step: str) -> str:
    steps = yaml.safe_load((CI / "github-actions.yml").read_text())["jobs"][job]["steps"]
    (found,) = [s["run"] for s in steps if s.get("name") == step]
    return str(found)


def gitlab(job: str) -> str:
    return "\n".join(yaml.safe_load((CI / "gitlab-ci.yml").read_text())[job]["script"])


PLANS = {"github": lambda: github("plan", "plan"), "gitlab": lambda: gitlab("plan")}
APPLIES = {"github": lambda: github("apply", "apply"), "gitlab": lambda: gitlab("apply")}


@pytest.mark.parametrize("name", ["github-actions", "gitlab-ci"])
def test_what_is_installed_must_not_be_somebody_elses_program(name: str) -> None:
    """PyPI has an unrelated package of that name, which would be given the key of the hosts."""
    text = (CI / f"{name}.yml").read_text()
    installs = [line.strip().removeprefix("- ").removeprefix("run: ") for line in text.splitlines() if "pip " in line]
    assert [line for line in installs if not line.startswith("#")] == ['pip install "$DEPLOYER"'] * 2
    read = yaml.safe_load(text)
    (package,) = (read.get("env") or read["variables"]).values()
    assert package.startswith("https://")


@pytest.mark.parametrize("service", PLANS)
def test_a_pull_request_must_be_planned_without_a_host(checkout: Path, service: str) -> None:
    done = run(checkout, PLANS[service]())
    assert done.returncode == 0, done.stderr
    assert "chat-0" in (checkout / "plan.md").read_text()


@pytest.mark.parametrize("service", PLANS)
def test_a_plan_that_cannot_be_must_fail_the_pipeline_and_still_be_shown(checkout: Path, service: str) -> None:
    greedy = {"chat": {"model": "m", "backend": "llama.cpp", "placement": {"gpus": 4}}}
    (checkout / "deploy.yaml").write_text(json.dumps({**SPEC, "services": greedy}))
    done = run(checkout, PLANS[service]())
    assert done.returncode == 1
    assert "chat-0" in (checkout / "plan.md").read_text()
    assert "error[" in done.stderr


def commands(script: str) -> Iterator[list[str]]:
    return (line.split()[1:] for line in script.splitlines() if line.startswith("deployer "))


@pytest.mark.parametrize("service", APPLIES)
def test_what_a_merge_runs_must_be_shell_and_options_that_there_are(checkout: Path, service: str) -> None:
    script = APPLIES[service]()
    assert subprocess.run(["bash", "-n", "-c", script], check=False).returncode == 0
    found = [run(checkout, " ".join(["deployer", *words, "--help"])) for words in commands(script)]
    assert [done.returncode for done in found] == [0, 0]
