"""The last words of a container: evidence, redacted and bounded. Judges nothing."""

from __future__ import annotations

from deployer.docker.calls import Refusal, engine_calls
from deployer.engine.context import Site
from deployer.values.names import CONTAINER, RETIRING

EVIDENCE_LINES = 20


def last_lines(site: Site, container: str, lines: int = EVIDENCE_LINES) -> tuple[str, ...]:
    """() where the log driver keeps nothing that can be read."""
    return site.context.redactor.tail(_tail(site, container, lines), lines)


def last_line(site: Site, container: str) -> tuple[str, str]:
    """Docker's time stamp of the last line, which tells a repeated line from an old one, and the line."""
    raw = _tail(site, container, 1, timestamps=True).decode("utf-8", "replace")
    stamp, _, text = raw.partition(" ")
    return stamp[:40], site.context.redactor.line(text, 200)


def _tail(site: Site, container: str, lines: int, timestamps: bool = False) -> bytes:
    try:
        with engine_calls(site.host):
            raw: bytes = site.transport.docker().logs(
                container, stdout=True, stderr=True, tail=lines, timestamps=timestamps
            )
    except Refusal:
        return b""
    return raw


def service_of(name: str) -> str:
    """As a key path: `services.chat`."""
    found = CONTAINER.match(name.removesuffix(RETIRING))
    return f"services.{found['service']}" if found else name
