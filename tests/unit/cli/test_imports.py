"""Which libraries a command imports: what it does not need costs up to half a second each time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deployer.values.facts_json import facts_to_data
from tests.bench import recorded
from tests.support.models import CONFIGS
from tests.support.planning import MODEL
from tests.support.world import IDENTITY, World

TO_HOSTS = ("fabric", "invoke", "paramiko", "cryptography", "docker", "requests", "urllib3", "huggingface_hub")
FOR_PEOPLE = ("rich", "asyncio", "unittest", "deployer.spec.ansible.reading", "deployer.spec.schema")
TO_READ = ("pydantic", "pydantic_core", "yaml", "jinja2")
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
    assert imported(folder, argv, (*TO_HOSTS, *FOR_PEOPLE)) == (0, [])


def test_an_estimate_reads_no_spec(folder: Path) -> None:
    assert imported(folder, ["estimate", ".", "--gpu", "H100"], TO_READ) == (0, [])


def test_reading_a_spec_renders_nothing(folder: Path) -> None:
    assert imported(folder, ["validate"], ("jinja2", "deployer.planning.planner", "deployer.transport.ssh")) == (0, [])


def test_a_plan_for_this_machine_needs_neither_ssh_nor_docker_s_sdk(folder: Path) -> None:
    code, found = imported(folder, ["plan"], (*TO_HOSTS, *FOR_PEOPLE))
    assert code == 1  # there is no Docker at that socket
    assert found == []


OWN_MODULES = 312  # of a plan of replicas on GPUs, besides those that reach its hosts; each is a thousandth of it
NEVER = (
    "planning.former", "planning.rollback", "planning.remedies", "planning.remedy_changes", "planning.what_if",
    "spec.mismatch", "spec.wording", "docker.signatures", "engine.context", "engine.perform", "engine.execute",
    "engine.journal", "engine.bundle_work", "engine.bundle_images", "engine.images", "engine.image_load", "images",
    "formats.gguf_shape", "formats.model_config", "formats.nvidia_topology", "view.plan_json", "view.markdown",
    "weights.rest", "workflow.applying", "workflow.bundles", "workflow.caches", "workflow.saved",
    "workflow.watching",
)  # fmt: skip


def own_modules(folder: Path, argv: list[str]) -> set[str]:
    """Those of deployer that a command imports, without the package's name."""
    code = (
        "import sys; from deployer.cli.app import run; run(sys.argv[1:]); "
        "print(*(name for name in sys.modules if name.startswith('deployer.')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], cwd=folder, capture_output=True, text=True, check=True)
    return {name.removeprefix("deployer.") for name in done.stderr.splitlines()[-1].split()}


def test_a_plan_with_nothing_to_do_imports_nothing_for_what_is_not_there(folder: Path, tmp_path: Path) -> None:
    """What is added here is added to every plan: import it where it is used, or raise the number knowingly."""
    recorded.write(2, 1, tmp_path / "applied")
    planned = own_modules(tmp_path / "applied", ["plan", "--facts", "noop.json"])
    observed = own_modules(folder, ["plan"])
    loaded = planned | observed
    assert {"planning.planner", "engine.observe", "view.plan_text"} <= loaded
    assert sorted(loaded & set(NEVER)) == []
    assert len(loaded) <= OWN_MODULES


def test_where_nobody_asks_for_gpus_nothing_is_estimated(folder: Path) -> None:
    loaded = own_modules(folder, ["plan", "--facts", "facts.json"])
    assert "planning.places" in loaded
    assert sorted(loaded & {"planning.fitting", "planning.estimate", "planning.sizing"}) == []


def test_no_validator_is_built_before_a_spec_is_read() -> None:
    """Building one takes milliseconds for each section of the language that is written as a default, `Port()`."""
    code = (
        "import deployer.spec.shape; from deployer.spec.language.base import Section; "
        "print([s.__name__ for s in Section.__subclasses__() if s.__pydantic_complete__])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n", "write `Port.usual()` instead"
