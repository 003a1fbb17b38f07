"""Hosts on which an apply could not take its lock, said before anything is tried."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.errors import Diagnostic
from deployer.values.facts import HostFacts
from deployer.values.names import STATE_DIR


def denied_state_dirs(facts: Mapping[str, HostFacts]) -> tuple[Diagnostic, ...]:
    """An error for each host whose state directory the user that Docker is reached as cannot write."""
    return tuple(_denied(host) for _, host in sorted(facts.items()) if host.state_writable is False)


def login_of(host: HostFacts) -> str:
    """The user for a command that a person shall copy."""
    return host.user if host.user.replace("-", "").replace("_", "").isalnum() else "$USER"


def _denied(host: HostFacts) -> Diagnostic:
    user = login_of(host)
    if host.uid == 0:
        hint = f"see why root cannot write to `{STATE_DIR}` there, a read-only file system for example"
    else:
        hint = f"run on the host: `sudo install -d -o {user} {STATE_DIR}`, or set `become: sudo`"
    return Diagnostic(
        "state-dir-denied",
        f"host `{host.name}`: `{STATE_DIR}` cannot be written by user `{user if host.user else host.uid}`, "
        "and an apply keeps its lock there",
        hint=hint,
        host=host.name,
    )
