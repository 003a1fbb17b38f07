"""The `docker run`s of upstreams' documentation: each has a spec, and what deployer runs for that says all it says.

`x-otherwise` of a spec names what deployer says otherwise, with the reason.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from deployer.cli.app import run

HERE = Path(__file__).parent
COMMANDS = sorted(HERE.glob("*.sh"))
LONG = {"-e": "--env", "-v": "--volume", "-p": "--publish", "-u": "--user"}
OURS = ("-it", "--rm", "-d", "--detach", "--name")  # containers run in the background, are kept, and named by deployer
WITHOUT_VALUE = ("-it", "--rm", "-d", "--detach", "--no-healthcheck", "--init")


@dataclass(frozen=True)
class Command:
    """`options` of Docker and `arguments` of the server, each with its value in one text."""

    options: frozenset[str]
    image: str
    arguments: frozenset[str]


def parsed(text: str) -> Command:
    whole = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ")
    words = shlex.split(whole.replace("$(id -u)", "0").replace("$(id -g)", "0"))[2:]
    options: set[str] = set()
    while words[0].startswith("-"):
        name, _, value = words.pop(0).partition("=")
        value = value or ("" if name in WITHOUT_VALUE else words.pop(0))
        if name not in OURS:
            options.add(plain(LONG.get(name, name), value))
    image = words.pop(0)
    return Command(frozenset(options), image, frozenset(flags_of(words)))


def plain(name: str, value: str) -> str:
    """An option as one text, however it is written."""
    match name:
        case "--env":
            value = value.partition("=")[0] if "=$" in value else value  # a secret
        case "--gpus":
            value = "some" if value == "all" or "," in value else value.strip('"').replace("=0", "=GPU-0")
        case "--volume":
            source, target = value.split(":")
            return f"--mount {clean(source)} {clean(target)}"
        case "--mount":
            parts = dict(part.partition("=")[::2] for part in value.split(","))
            return f"--mount {clean(parts['src'])} {clean(parts['dst'])}"
        case "--publish":
            value = value if value.count(":") == 2 else f"0.0.0.0:{value}"
        case "--shm-size":
            value = value.lower().removesuffix("b")
    return f"{name} {value}".strip()


def clean(path: str) -> str:
    return posixpath.normpath("/" + path.strip("/"))


def flags_of(words: list[str]) -> Iterator[str]:
    """Flags with the word after them, and words that stand alone; a flag that comes twice counts with its last."""
    found: dict[str, str] = {}
    flag = ""
    for word in words:
        if word.startswith("-"):
            flag, _, value = word.partition("=")
            found[flag] = value
        else:
            found[flag or word] = word if flag else ""
            flag = ""
    return (f"{name} {value}".strip() for name, value in found.items())


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_what_is_documented_can_be_said(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = path.with_suffix(".yaml")
    assert run(["render", "-f", str(spec)]) == 0
    made = re.search(r"^docker (?:run|create)(?:[^\n]*\\\n)*[^\n]*", capsys.readouterr().out, re.MULTILINE)
    assert made is not None
    wanted, ours = parsed(path.read_text("utf-8")), parsed(made[0].removesuffix(" &&"))
    missing = (wanted.options - any_gpus(ours.options)) | (wanted.arguments - ours.arguments)
    otherwise = yaml.safe_load(spec.read_text("utf-8")).get("x-otherwise", {})
    assert (ours.image, sorted(missing)) == (wanted.image, sorted(otherwise))


def any_gpus(options: frozenset[str]) -> frozenset[str]:
    """With `--gpus some` where GPUs are given by their names."""
    return options | ({"--gpus some"} if any(option.startswith("--gpus") for option in options) else set())


def test_every_command_has_its_spec() -> None:
    assert {path.stem for path in COMMANDS} == {path.stem for path in HERE.glob("*.yaml")}
    assert len(COMMANDS) >= 11
