"""Asks OpenSSH for its settings: `ssh -G`, or paramiko's parser; nobody where the configuration is simple."""

from __future__ import annotations

import glob
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, HostError
from deployer.transport.failures import tail
from deployer.transport.plainconfig import Line, is_plain, lines_of, plain_settings

if TYPE_CHECKING:
    from deployer.transport.base import ConnectOptions

CONFIG_FILES = ("~/.ssh/config", "/etc/ssh/ssh_config")
ASK_TIMEOUT = 20.0  # seconds; `Match exec` may run commands
# Keywords (man ssh_config) that change nothing of what an Endpoint holds.
WITHOUT_EFFECT = frozenset(
    (
        *("loglevel", "visualhostkey", "hashknownhosts", "addkeystoagent", "compression"),
        *("sendenv", "setenv", "forwardagent", "forwardx11", "forwardx11trusted"),
        *("gssapiauthentication", "gssapidelegatecredentials"),
        *("serveraliveinterval", "serveralivecountmax", "tcpkeepalive"),
        *("controlmaster", "controlpath", "controlpersist"),
    )
)

Settings = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Jump:
    """One jump host as ssh's -J writes it."""

    address: str
    user: str | None = None
    port: int | None = None


def ask_openssh(name: str, alias: Jump, options: ConnectOptions) -> Settings:
    """The settings `ssh -G` prints for an alias; of paramiko's own parser where there is no OpenSSH."""
    files = [options.ssh_config] if options.ssh_config else [f for f in CONFIG_FILES if Path(f).expanduser().is_file()]
    lines = effective_lines(Path(file).expanduser() for file in files)
    if lines is not None and all(map(is_plain, lines)):
        return plain_settings(alias.address, lines)
    ssh = shutil.which("ssh")
    if ssh is None:
        return parse_files(alias, files)
    return ask(ssh, name, alias, options)


def ask(ssh: str, name: str, alias: Jump, options: ConnectOptions) -> Settings:
    """What `ssh -G` prints, whatever the configuration."""
    command = [ssh, "-T", "-G", *(["-F", options.ssh_config] if options.ssh_config else [])]
    command += ["-l", alias.user] if alias.user else []
    command += ["-p", str(alias.port)] if alias.port else []
    try:
        done = subprocess.run(
            [*command, alias.address], stdin=subprocess.DEVNULL, capture_output=True, timeout=ASK_TIMEOUT, check=False
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise config_error(name, str(error).encode()) from error
    if done.returncode != 0:
        raise config_error(name, done.stderr or f"exit code {done.returncode}".encode())
    return parse_settings(done.stdout.decode("utf-8", "replace"))


def config_error(name: str, words: bytes) -> HostError:
    return HostError(
        Diagnostic(
            "ssh-config",
            f"host `{name}`: OpenSSH's configuration cannot be read",
            evidence=tail(words),
            host=name,
            hint=f"check it with `ssh -G {name}`",
        )
    )


def parse_settings(text: str) -> dict[str, list[str]]:
    """`ssh -G`'s lines: keyword (lower case), blank, value; keywords that repeat keep their order."""
    settings: dict[str, list[str]] = {}
    for line in text.splitlines():
        keyword, _, value = line.strip().partition(" ")
        if keyword and value:
            settings.setdefault(keyword.lower(), []).append(value.strip())
    return settings


def parse_files(alias: Jump, files: Iterable[str]) -> Settings:
    import paramiko

    config = paramiko.SSHConfig()
    for file in files:
        with Path(file).expanduser().open(encoding="utf-8", errors="replace") as lines:
            config.parse(lines)
    found: Mapping[str, str | list[str]] = config.lookup(alias.address)
    return {key: [value] if isinstance(value, str) else list(value) for key, value in found.items()}


def effective_lines(files: Iterable[Path]) -> list[Line] | None:
    """What could change where or how we connect, of all files; None where that cannot be known."""
    found: list[Line] = []
    try:
        for file in files:
            found += [("host", "*"), *(line for line in lines_of(file) if is_effective(*line, file))]
    except OSError:
        return None
    return found


def is_effective(keyword: str, value: str, file: Path) -> bool:
    if keyword != "include":
        return keyword not in WITHOUT_EFFECT
    try:
        patterns = shlex.split(value, comments=True)
    except ValueError:
        return True
    found = (glob.glob(str(file.parent / Path(pattern).expanduser())) for pattern in patterns)  # noqa: PTH207 - may be absolute
    return any(found)
