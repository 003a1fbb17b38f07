"""The unit that `watch --install` writes runs the very watch that was asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deployer.errors import DeployerError
from deployer.workflow import Inputs
from deployer.workflow.installing import command_of, environment_of, install_watch, unit_name

USUAL = [sys.executable, "-m", "deployer", "watch", "--interval"]


def test_every_flag_is_there_with_its_path_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    inputs = Inputs(
        files=("deploy.yaml", "/etc/more.yaml"),
        inventories=("inv/lab.yaml",),
        variables={"tag": "b 1", "a": "x=y"},
        ssh_config="ssh.conf",
        limit=("gpus,h2", "h3"),
        target=("chat",),
        locked=True,
        offline=True,
    )
    here = str(tmp_path)
    assert command_of(inputs, 90.0) == [
        *USUAL, "90s",
        "--file", f"{here}/deploy.yaml", "--file", "/etc/more.yaml", "--inventory", f"{here}/inv/lab.yaml",
        "--limit", "gpus,h2", "--limit", "h3", "--target", "chat",
        "--var", "a=x=y", "--var", "tag=b 1",
        "--ssh-config", f"{here}/ssh.conf", "--locked", "--offline",
    ]  # fmt: skip


def test_what_was_not_asked_for_is_not_there() -> None:
    assert command_of(Inputs(("/srv/deploy.yaml",)), 60.0) == [*USUAL, "60s", "--file", "/srv/deploy.yaml"]


def test_the_specs_variables_are_passed_on_and_no_secret() -> None:
    given = {"PATH": "/bin", "DEPLOYER_VAR_TAG": "", "HF_TOKEN": "s", "HTTPS_PROXY": "http://u:p@x", "NO_PROXY": ""}
    assert environment_of(Inputs(environment=given)) == {"PATH": "/bin", "DEPLOYER_VAR_TAG": ""}


def test_each_part_of_a_project_has_a_unit_of_its_own() -> None:
    assert unit_name(Inputs(), "demo") == "deployer-watch-demo.service"
    parts = [Inputs(limit=("a",)), Inputs(limit=("b",)), Inputs(target=("a",)), Inputs(limit=("a",), target=("a",))]
    assert len({unit_name(inputs, "demo") for inputs in (Inputs(), *parts)}) == 5
    assert unit_name(Inputs(limit=("b,a",)), "demo") == unit_name(Inputs(limit=("a", "b")), "demo")


def test_a_value_of_several_lines_is_refused_by_name(tmp_path: Path) -> None:
    given = {"XDG_CONFIG_HOME": str(tmp_path), "DEPLOYER_VAR_TEXT": "one\n[Service]\nExecStart=/bin/evil"}
    with pytest.raises(DeployerError) as caught:
        install_watch(Inputs(environment=given), "demo", 60.0)
    found = caught.value.diagnostics[0]
    assert (found.code, found.message) == ("bad-value", "`DEPLOYER_VAR_TEXT` has a line break; a unit file holds none")
    assert list(tmp_path.iterdir()) == []
