"""Which libraries a command imports: what it does not need costs up to half a second each time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deployer.values.facts_json import facts_to_data
from tests.support.models import CONFIGS
from tests.support.planning import MODEL
from tests.support.world import IDENTITY, World

TO_HOSTS = ("fabric", "invoke", "paramiko", "cryptography", "docker", "requests", "urllib3", "huggingface_hub")
FOR_PEOPLE = ("rich", "asyncio", "unittest", "deployer.spec.ansible.reading", "deployer.spec.schema")
TO_READ = ("pydantic", "pydantic_core", "yaml", "jinja2")
TO_JUDGE = ("pydantic", "pydantic_core", "deployer.spec.language.judge")
SPEC = {
    "version": 1,
    "project": IDENTITY[0],
    "id": IDENTITY[1],
    "hosts": {"h1": {"connection": "local", "docker": {"socket": "/no/docker.sock"}}},
    "models": {"m": {"source": f"file://{MODEL}"}},
    "services": {"chat": {"model": "m", "backend": "llama.cpp", "placement": {"gpus": "none"}}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deploy.yaml").write_text(json.dumps(SPEC))
    facts = World({"h1": 0}).observe({MODEL}, IDENTITY)
    (tmp_path / "facts.json").write_text(json.dumps(facts_to_data(facts)))
    (tmp_path / "config.json").write_text(json.dumps(CONFIGS["Qwen2.5-7B"]))
    return tmp_path


def imported(folder: Path, argv: list[str], libraries: tuple[str, ...]) -> tuple[int, list[str]]:
    """The command's exit code, and those of the libraries that it imported."""
    code = (
        "import sys; from deployer.cli.app import run; code = run(sys.argv[1:]); "
        f"print([code, [m for m in {libraries!r} if m in sys.modules]], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], cwd=folder, capture_output=True, text=True, check=True)
    said = done.stderr.splitlines()[-1].replace("'", '"')
    exit_code, found = json.loads(said)
    return exit_code, found


@pytest.mark.parametrize("argv", [["--version"], ["--help"], ["plan", "--help"], ["apply", "--help"]])
def test_help_and_version_import_nothing(folder: Path, argv: list[str]) -> None:
    assert imported(folder, argv, (*TO_HOSTS, *FOR_PEOPLE, *TO_READ)) == (0, [])


ALONE = [["validate"], ["render"], ["plan", "--facts", "facts.json"], ["estimate", "config.json", "--gpu", "H100"]]


@pytest.mark.parametrize("argv", ALONE)
def test_commands_that_reach_no_host_import_nothing_for_it(folder: Path, argv: list[str]) -> None:
    assert imported(folder, argv, (*TO_HOSTS, *FOR_PEOPLE, *TO_JUDGE)) == (0, [])


def test_an_estimate_reads_no_spec(folder: Path) -> None:
    assert imported(folder, ["estimate", ".", "--gpu", "H100"], TO_READ) == (0, [])


def test_reading_a_spec_renders_nothing(folder: Path) -> None:
    assert imported(folder, ["validate"], ("jinja2", "deployer.planning.planner", "deployer.transport.ssh")) == (0, [])


def test_a_plan_for_this_machine_needs_neither_ssh_nor_docker_s_sdk(folder: Path) -> None:
    code, found = imported(folder, ["plan"], (*TO_HOSTS, *FOR_PEOPLE, *TO_JUDGE))
    assert code == 1  # there is no Docker at that socket
    assert found == []
