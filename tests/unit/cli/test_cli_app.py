"""The command line's own promises: exit codes, usage errors, nothing heavy imported without need."""

from __future__ import annotations

import subprocess
import sys

import pytest

from deployer import __version__
from deployer.cli.app import COMMANDS, deployer, run
from deployer.cli.options import SPEC


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"deployer {__version__}\n"


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists_and_says_the_same_of_itself(name: str) -> None:
    command = deployer.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert command.short_help == COMMANDS[name]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "Usage"),
        (["--nope"], "error[usage]"),
        (["plann"], "did you mean `plan`?"),
        (["plan", "--nope"], "deployer plan --help"),
        (["plan", "--var", "novalue"], "`novalue` is not NAME=VALUE"),
        (["logs"], "error[usage]"),
        (["apply", "--lock-wait", "-1", "-y"], "error[usage]"),
    ],
)
def test_a_wrong_command_line_is_64(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(argv) == 64
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("verb", ["apply", "destroy"])
def test_nobody_to_ask_is_64_before_anything_is_read(verb: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deployer", verb, "-f", "no-such-file"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 64
    assert "give `-y`" in done.stderr


def test_the_shared_options_are_the_promised_ones() -> None:
    command = deployer.get_command(None, "plan")  # type: ignore[arg-type]
    assert command is not None
    flags = {flag for param in command.params for flag in param.opts}
    assert {"-f", "--file", "-i", "--inventory", "--var", "--json", "--no-color", "-v", "--ssh-config"} <= flags
    assert len(SPEC) == 3
