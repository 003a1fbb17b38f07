"""`plan --what-if` and `nim-profiles --recorded`: what they take, what they print, how they end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest

from deployer.cli.app import run
from deployer.spec.load import load
from deployer.values.facts_json import facts_to_data
from deployer.view.output_schemas import output_schema
from tests.unit.planning.test_fitting import LLAMA, scene

LISTS = Path(__file__).resolve().parents[1] / "formats" / "data" / "nim"
SPEC = """\
version: 1
project: lab
id: x
hosts: {h1: {connection: local}, h2: {connection: local}}
models: {m: {source: "file:///srv/models/m"}, n: {source: "ngc://nim/meta/llama-3.2-1b-instruct"}}
services:
  chat: {model: m, backend: vllm, replicas: 2, options: {context_length: 8192, tensor_parallel: 1}}
"""
NIM = "  nim: {model: n, backend: nim, version: 1.8.4, env: {NGC_API_KEY: x}}\n"
LOST = ["plan", "--facts", "facts.json", "--what-if", "host h2 lost"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("deploy.yaml").write_text(SPEC)
    project = load(["deploy.yaml"], lambda name: Path(name).read_bytes())
    facts = scene({"h1": (2, "A40"), "h2": (2, "A40")}, LLAMA).observed(project)
    Path("facts.json").write_text(json.dumps(facts_to_data(facts)))
    shutil.copy(LISTS / "list-1.8.4.txt", "list.txt")
    return tmp_path


def test_a_plan_for_what_is_supposed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(LOST) == 0
    out = capsys.readouterr().out
    assert out.startswith("What if\n  host `h2` is lost\n\nReplicas that would be elsewhere\n")
    assert "  chat-1  h2 (1 GPU) → h1 (1 GPU)\n" in out
    assert out.endswith("Plan: 2 to create on 1 host.\n")


def test_and_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*LOST, "--json", "--detailed-exitcode"]) == 2
    said = json.loads(capsys.readouterr().out)
    jsonschema.validate(said, output_schema("plan"))
    assert said["what_if"] == {
        "supposed": ["host `h2` is lost"],
        "differences": [{"replica": "chat-1", "before": "h2 (1 GPU)", "after": "h1 (1 GPU)"}],
    }


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["plan", "--what-if", "host h2 lost"], "needs recorded facts"),
        ([*LOST, "--markdown"], "is shown as text or `--json`"),
        ([*LOST, "--what-if", "h2 lost"], "`h2 lost` is nothing to suppose; write `host NAME lost`"),
        (["nim-profiles", "nim", "--gpu", "H100"], "give `--gpu` with `--recorded`"),
    ],
)
def test_what_cannot_be_asked(folder: Path, argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(argv) == 64
    assert said in capsys.readouterr().err


def test_profiles_of_a_recorded_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("deploy.yaml").write_text(SPEC + NIM)
    asked = ["nim-profiles", "nim", "--recorded", "list.txt"]
    assert run(asked) == 0
    assert "nim on 1 x NVIDIA RTX 6000 Ada Generation: takes tensorrt_llm-trtllm_buildable-bf16-tp1-pp1" in (
        capsys.readouterr().out
    )
    assert run([*asked, "--gpu", "T4", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    jsonschema.validate(said, output_schema("nim-profiles"))
    assert said["hosts"][0]["taken"] is None
    assert len(said["hosts"][0]["profiles"]) == 30


@pytest.mark.parametrize(
    ("service", "file", "code"),
    [("chat", "list.txt", "no-profiles"), ("x", "list.txt", "unknown-service"), ("nim", "deploy.yaml", "no-profiles")],
)
def test_what_has_no_profiles(
    folder: Path, service: str, file: str, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("deploy.yaml").write_text(SPEC + NIM)
    assert run(["nim-profiles", service, "--recorded", file]) == 1
    assert f"error[{code}]" in capsys.readouterr().err
