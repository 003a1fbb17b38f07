"""Writes the systemd unit that keeps a watch running; starts nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from deployer.dataclass import dataclass
from deployer.errors import DeployerError, Diagnostic
from deployer.formats.systemd import MARK, unit_text
from deployer.formats.text import one_line
from deployer.values.canonical import digest
from deployer.workflow.files import write_beside
from deployer.workflow.inputs import PREFIX, Inputs

MOST_SHOWN = 80  # characters
PASSED_ON = (
    "PATH", "HOME", "SSH_AUTH_SOCK", "HF_ENDPOINT", "HF_HOME", "MODELSCOPE_ENDPOINT", "DOCKER_CONFIG", "SSL_CERT_FILE",
    "NO_PROXY", "XDG_CACHE_HOME",
)  # fmt: skip # no secret is among them: an HTTPS_PROXY may have a password


@dataclass(frozen=True, slots=True)
class Installed:
    """`commands` start it; `secrets`: the file of variables that it reads."""

    path: str
    commands: tuple[str, ...]
    secrets: str


def install_watch(inputs: Inputs, project: str, interval: float) -> Installed:
    """For the whole machine where root asks, else for the user. DeployerError where somebody else's file is there, or
    what it must hold does not fit into a unit."""
    is_root = os.geteuid() == 0
    config = Path(inputs.environment.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    folder = Path("/etc/systemd/system") if is_root else config / "systemd" / "user"
    name = unit_name(inputs, project)
    path = folder / name
    passed, command, here = environment_of(inputs), command_of(inputs, interval), str(Path.cwd())
    _refuse_lines([*(f"{name}={value}" for name, value in sorted(passed.items())), *command, here])
    _write(path, unit_text(project, command, here, passed))
    systemctl = "systemctl" if is_root else "systemctl --user"
    commands = [f"{systemctl} daemon-reload", f"{systemctl} enable --now {name}"]
    if not is_root:
        commands.append("loginctl enable-linger")
    secrets = (Path("/etc") if is_root else config) / "deployer" / f"watch-{project}.env"
    return Installed(str(path), tuple(commands), str(secrets))


def unit_name(inputs: Inputs, project: str) -> str:
    """One for each choice of hosts and services: two watches of one project may each look after a part of it."""
    chosen = [sorted({n for text in texts for n in text.split(",") if n}) for texts in (inputs.limit, inputs.target)]
    part = f"-{digest(chosen)[:8]}" if any(chosen) else ""
    return f"deployer-watch-{project}{part}.service"


def environment_of(inputs: Inputs) -> dict[str, str]:
    """What it needs of the environment at hand: without the variables of its spec it would watch another one."""
    given = inputs.environment
    passed = {name: given[name] for name in PASSED_ON if given.get(name)}
    return passed | {name: value for name, value in given.items() if name.startswith(PREFIX)}


def command_of(inputs: Inputs, interval: float) -> list[str]:
    """The same watch, with every path absolute."""
    words = [sys.executable, "-m", "deployer", "watch", "--interval", f"{interval:g}s"]
    for flag, paths in (("--file", inputs.files), ("--inventory", inputs.inventories)):
        words += [word for path in paths for word in (flag, str(Path(path).absolute()))]
    for flag, names in (("--limit", inputs.limit), ("--target", inputs.target)):
        words += [word for name in names for word in (flag, name)]
    words += [word for name, value in sorted(inputs.variables.items()) for word in ("--var", f"{name}={value}")]
    words += ["--ssh-config", str(Path(inputs.ssh_config).absolute())] if inputs.ssh_config else []
    return [*words, *(["--locked"] if inputs.locked else []), *(["--offline"] if inputs.offline else [])]


def _refuse_lines(texts: Iterable[str]) -> None:
    for text in texts:
        if any(character in text for character in "\n\r\0"):
            what = one_line(text.partition("=")[0], MOST_SHOWN)
            hint = "give it on one line, or write it into the spec's `vars`"
            raise DeployerError(
                Diagnostic("bad-value", f"`{what}` has a line break; a unit file holds none", hint=hint)
            )


def _write(path: Path, text: str) -> None:
    """Beside, then renamed."""
    hint = "make its folder writable, or run as the user it is for"
    try:
        if path.exists() and not path.read_text("utf-8", "replace").startswith(MARK):
            away = "move it away, or install by hand"
            raise DeployerError(Diagnostic("not-ours", f"`{path}` is there and not deployer's", hint=away))
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"`{path}` cannot be written: {error.strerror}"
        raise DeployerError(Diagnostic("cannot-write", what, hint=hint)) from None
    write_beside(path, text.encode(), hint=hint)
