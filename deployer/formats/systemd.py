"""A unit file of systemd's, for a program that is to keep running (systemd.service(5), systemd.exec(5))."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MARK = "# Written by `deployer watch --install`"


def unit_text(project: str, command: Sequence[str], folder: str, environment: Mapping[str, str]) -> str:
    """A service of systemd's (systemd.service(5), systemd.exec(5))."""
    lines = [f"Environment={_quoted(f'{name}={value}')}" for name, value in sorted(environment.items())]
    return "\n".join(
        [
            MARK,
            "[Unit]",
            f"Description=deployer watches project {project}",
            "Wants=network-online.target",
            "After=network-online.target",
            "",
            "[Service]",
            f"WorkingDirectory={folder.replace('%', '%%')}",
            *lines,
            f"EnvironmentFile=-%E/deployer/watch-{project}.env",
            f"ExecStart={' '.join(map(_word, command))}",
            "SuccessExitStatus=130",
            "Restart=always",
            "RestartSec=30",
            "",
            "[Install]",
            "WantedBy=default.target",
            "",
        ]
    )


def _word(text: str) -> str:
    """One word of a command: only there a `$` means a variable."""
    return _quoted(text).replace("$", "$$")


def _quoted(text: str) -> str:
    """As systemd reads it: quoted, with its own `%` doubled."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
