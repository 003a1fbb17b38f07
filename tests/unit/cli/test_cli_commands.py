"""Commands that need no host, run as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from deployer.cli.app import run
from deployer.cli.applying import Wish, exit_code, refuse_downtime, refuse_protected
from deployer.cli.plan import exit_code as plan_exit_code
from deployer.cli.refusals import problem_exit
from deployer.errors import Diagnostic, RefusedError, Severity
from deployer.values.events import ApplyResult
from deployer.values.facts import DockerFacts, HostFacts, ObservedState
from deployer.values.facts_json import facts_to_data
from deployer.values.names import ReplicaKey
from deployer.values.plan import Action, Availability, Cause, Change, Downtime, Plan, Reason
from deployer.view.output_schemas import output_schema
from tests.unit.view.plans import a_plan, creation, impossible

SPEC = """\
version: 1
project: demo
id: unit
secrets: {key: {env: DEMO_KEY}}
hosts: {here: {connection: local}}
models: {tiny: {source: "file:///srv/models/tiny.gguf"}}
profiles: {small: {options: {context_length: 256}}}
services:
  chat: {model: tiny, profiles: [small], options: {api_key: {secret: key}}, replicas: 2}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deploy.yaml").write_text(SPEC)
    return tmp_path


def test_validate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "deploy.yaml is valid: project `demo` with 1 service, 1 model, 1 host\n"
    assert captured.err == ""


def test_an_invalid_spec_is_told_to_people_and_to_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "deploy.yaml").write_text(SPEC.replace("replicas", "replcas"))
    assert run(["validate", "--json"]) == 1
    captured = capsys.readouterr()
    data = json.loads(captured.out)
    jsonschema.validate(data, output_schema("problems"))
    assert [p["code"] for p in data["problems"]] == ["unknown-key"]
    assert "error[unknown-key]" in captured.err
    assert "did you mean `replicas`?" in captured.err


def test_render_prints_commands_without_labels_or_secrets(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEMO_KEY", "canary-1234")
    assert run(["render"]) == 0
    out = capsys.readouterr().out
    assert out.count("docker run") == 2
    assert "# chat-1 on here" in out
    assert "--label" not in out
    assert "canary" not in out
    assert run(["render", "--labels"]) == 0
    assert "deployer.revision" in capsys.readouterr().out


def test_render_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [r["replica"] for r in data["replicas"]] == [0, 1]
    assert "docker run" in data["replicas"][0]["docker_run"]


def test_what_the_spec_and_the_backend_warn_of_is_said_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "deploy.yaml").write_text(SPEC.replace("replicas: 2", "container: {ipc: host, shm_size: 1g}"))
    assert run(["render", "--json"]) == 0
    codes = [problem["code"] for problem in json.loads(capsys.readouterr().out)["problems"]]
    assert codes.count("shm-size-ignored") == 1


def test_explain_says_where_a_value_comes_from(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", "--explain"]) == 0
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if "context_length" in line]
    assert "256" in line
    assert "# profile small (deploy.yaml:7:" in line
    assert run(["render", "--explain", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)["services"]["chat"]["options.context_length"]
    assert (value["value"], value["layer"]) == (256, "profile small")


def test_schema_accepts_the_spec(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.validate({"version": 1, "project": "x", "services": {}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 1, "project": "x", "services": {}, "nope": 1}, schema)


def test_a_file_outside_the_folder_is_not_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = folder.parent / "outside.jinja"
    secret.write_text("canary-5678")
    (folder / "deploy.yaml").write_text(SPEC.replace("replicas: 2", f'container: {{files: {{/x: "{secret}"}}}}'))
    assert run(["render"]) == 1
    captured = capsys.readouterr()
    assert "canary" not in captured.out + captured.err
    assert "error[outside-folder]" in captured.err


FOREIGN = Diagnostic("foreign-project", "another project `demo` with another id runs on these hosts")
DRIFT = Change(ReplicaKey("chat", 0), "a", Action.START, Cause.DRIFT)


@pytest.mark.parametrize(
    ("plan", "plain", "detailed"),
    [
        (a_plan(), 0, 0),
        (creation(), 0, 2),
        (a_plan(changes=(DRIFT,)), 0, 4),
        (a_plan(changes=(DRIFT, *creation().changes)), 0, 2),
        (a_plan(changes=(Change(ReplicaKey("chat", 0), "a", Action.REPLACE, Cause.DEFAULT),)), 0, 0),
        (impossible(), 1, 1),
        (a_plan(problems=(*impossible().problems, FOREIGN)), 3, 3),
    ],
)
def test_exit_codes_of_plan(plan: Plan, plain: int, detailed: int) -> None:
    assert plan_exit_code(plan, detailed=False) == plain
    assert plan_exit_code(plan, detailed=True) == detailed


PROBLEM = Diagnostic("x", "x")


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (ApplyResult("a"), 0),
        (ApplyResult("a", problems=(PROBLEM,)), 1),
        (ApplyResult("a", problems=(Diagnostic("x", "x", severity=Severity.WARNING),)), 0),
        (ApplyResult("a", interrupted=True, problems=(PROBLEM,)), 130),
    ],
)
def test_exit_codes_of_apply(result: ApplyResult, code: int) -> None:
    assert exit_code(result) == code


def test_only_an_error_counts() -> None:
    assert problem_exit(()) == problem_exit((Diagnostic("foreign-project", "x", severity=Severity.WARNING),)) == 0
    assert problem_exit((PROBLEM,)) == 1


@pytest.fixture
def recorded(folder: Path) -> Path:
    """Facts of the host `here`, on which nothing runs and no model lies."""
    docker = DockerFacts("27", "1.47")
    facts = HostFacts("here", "here", "Debian <1>", "6", "x86_64", 0, 0, "root", 2, 1, 1, "", docker)
    (folder / "facts.json").write_text(json.dumps(facts_to_data(ObservedState({"here": facts}))))
    return folder


def test_a_plan_as_markdown_and_as_html(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--facts", "facts.json", "--markdown", "--html", "plan.html"]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("<!-- deployer plan demo -->\n### Plan for <code>demo</code>\n")
    assert "**Nothing can be applied: " in captured.out
    assert "error[" in captured.err
    html = (recorded / "plan.html").read_text()
    assert html.startswith("<!doctype html>")
    assert html.endswith("</html>\n")


def test_html_goes_along_with_the_text_and_with_json(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--facts", "facts.json", "--html", "plan.html", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["project"] == "demo"
    assert run(["plan", "--facts", "facts.json", "--html", "no/such/folder.html"]) == 1
    assert "error[cannot-write]" in capsys.readouterr().err


def test_one_form_on_stdout(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--facts", "facts.json", "--json", "--markdown"]) == 64
    assert "give `--json` or `--markdown`, not both" in capsys.readouterr().err


def test_a_protected_service_is_removed_only_by_name() -> None:
    reasons = (Reason("not-in-spec", "is no longer in the spec"), Reason("protected", "its service is protected"))
    plan = a_plan(changes=(Change(ReplicaKey("chat", 0), "a", Action.REMOVE, Cause.CHANGE, reasons),))
    with pytest.raises(RefusedError) as caught:
        refuse_protected(plan, Wish(yes=True, lock_wait=0))
    assert caught.value.diagnostics[0].hint == "give `--allow-remove chat` if that is what you want"
    refuse_protected(plan, Wish(yes=True, lock_wait=0, allow_remove=("chat",)))


def test_what_the_spec_protects_today_is_protected_whatever_its_container_was_made_with() -> None:
    reasons = (Reason("destroyed", "all of the project is removed"),)
    plan = a_plan(changes=(Change(ReplicaKey("chat", 0), "a", Action.REMOVE, Cause.CHANGE, reasons),))
    refuse_protected(plan, Wish(yes=True, lock_wait=0), ["other"])
    with pytest.raises(RefusedError):
        refuse_protected(plan, Wish(yes=True, lock_wait=0), ["chat"])


@pytest.mark.parametrize(("seconds", "allowed"), [(120.0, 120.0), (3600.0, None)])
def test_downtime_that_the_spec_allows_is_covered(seconds: float, allowed: float | None) -> None:
    refuse_downtime(a_plan(rollout=(Availability("chat", 1, 0, 1, True, Downtime(seconds, True, allowed)),)))


@pytest.mark.parametrize(
    ("measured", "words"), [(True, "about 2m 01s as its last start took"), (False, "up to 2m 01s")]
)
def test_more_downtime_than_the_spec_allows_is_refused(measured: bool, words: str) -> None:
    plan = a_plan(rollout=(Availability("chat", 1, 0, 1, True, Downtime(121.0, measured, 120.0)),))
    with pytest.raises(RefusedError) as caught:
        refuse_downtime(plan)
    assert caught.value.exit_code == 3
    assert f"`chat` is down for {words}, more than the 2m 00s" in caught.value.diagnostics[0].message


def test_more_replicas_down_than_the_spec_allows_are_refused() -> None:
    plan = a_plan(rollout=(Availability("chat", 3, 1, 3, False, too_many=2), Availability("docs", 3, 2, 3, False)))
    with pytest.raises(RefusedError, match="2 replicas of `chat` can only go down together") as caught:
        refuse_downtime(plan)
    assert (caught.value.exit_code, caught.value.diagnostics[0].code) == (3, "max-unavailable")


def test_init_writes_a_spec_that_is_valid_and_nobody_s_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "My Box_1"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert run(["init"]) == 0
    first = Path("deploy.yaml").read_text()
    assert "\nproject: my-box-1\n" in first
    assert run(["validate"]) == 0
    assert run(["init", "--project", "other"]) == 1
    assert Path("deploy.yaml").read_text() == first
    assert run(["init", "-f", "two.yaml", "gpu-a", "gpu-b"]) == 0
    assert run(["validate", "-f", "two.yaml"]) == 0
    assert {line for line in first.splitlines() if line.startswith("id:")}.isdisjoint(
        Path("two.yaml").read_text().splitlines()
    )
    assert run(["init", "-f", "three.yaml", "--project", "No"]) == 64
    assert run(["init", "-f", "three.yaml", "a: {}"]) == 64
    assert not Path("three.yaml").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how_to_complete(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert f"_DEPLOYER_COMPLETE={shell}_complete" in capsys.readouterr().out
