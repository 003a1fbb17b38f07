"""The last words of a container, and how it ended: evidence, redacted and bounded. Judges nothing."""

from __future__ import annotations

from deployer.docker.calls import Refusal, engine_calls
from deployer.engine.context import Site
from deployer.errors import Diagnostic
from deployer.values.facts import ObservedContainer
from deployer.values.names import CONTAINER, RETIRING

EVIDENCE_LINES = 20
KILLED, TERMINATED, SEGFAULT, BAD_INSTRUCTION, CANNOT_RUN, NOT_FOUND = 137, 143, 139, 132, 126, 127


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


def ended(site: Site, container: ObservedContainer, code: str, when: str) -> Diagnostic:
    """`when` completes the sentence: `before it was ready`."""
    exit_code = container.exit_code or 0
    if container.status == "restarting" or container.restarts:
        what = f"keeps ending {when}, {container.restarts} restarts so far"
    else:
        what = f"exited with {exit_code} {when}"
    evidence = last_lines(site, container.id)
    if container.error:
        evidence = (site.words(container.error), *evidence)
    return Diagnostic(
        code,
        f"container `{container.name}` {what}{_meaning(container)}",
        evidence=evidence or ("it logged nothing",),
        hint=_remedy(container),
        host=site.host,
    )


def _meaning(container: ObservedContainer) -> str:
    if container.oom_killed:
        return ": out of memory"
    meanings = {
        KILLED: ": killed",
        TERMINATED: ": terminated by somebody",
        SEGFAULT: ": it crashed (SIGSEGV)",
        BAD_INSTRUCTION: ": the processor lacks an instruction the image needs (SIGILL)",
        CANNOT_RUN: ": its command cannot be run",
        NOT_FOUND: ": its command was not found",
    }
    return meanings.get(container.exit_code or 0, "")


def _remedy(container: ObservedContainer) -> str:
    service = service_of(container.name)
    if container.oom_killed or container.exit_code == KILLED:
        return f"give `{service}` more memory (`container.memory`), a smaller `options.context_length`, or another host"
    if container.exit_code == BAD_INSTRUCTION:
        return f"give `{service}` an image built for this processor"
    if container.exit_code in (CANNOT_RUN, NOT_FOUND):
        return f"correct `container.command` or the image of `{service}`"
    return f"correct `{service}` as its last lines say, then apply again"


def service_of(name: str) -> str:
    """As a key path: `services.chat`."""
    found = CONTAINER.match(name.removesuffix(RETIRING))
    return f"services.{found['service']}" if found else name
