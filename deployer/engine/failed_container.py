"""Why a container failed: its end, its log, the catalogue of failures. Keeps the log, which goes with the container."""

from __future__ import annotations

from collections.abc import Iterator

from deployer.dataclass import dataclass, replace
from deployer.engine.container_log import service_of
from deployer.engine.context import Site
from deployer.engine.logs import LogRequest, lines_by_now
from deployer.engine.ownership import look_closely
from deployer.errors import Diagnostic, HostError
from deployer.formats.times import seconds_of
from deployer.planning.causes import Cause, Ended, find_cause
from deployer.values.facts import ObservedContainer

EVIDENCE_LINES, EVIDENCE_LENGTH = 20, 500
ENOUGH_LINES = 8  # beside the one that tells the cause
LOOKED_AT = 5000  # lines of the log
LOG_TIMEOUT = KEEP_TIMEOUT = 20.0  # seconds
KILLED, TERMINATED, SEGFAULT, BAD_INSTRUCTION, CANNOT_RUN, NOT_FOUND = 137, 143, 139, 132, 126, 127
KEPT = 20  # logs of one project on a host
KEEP = f"""
umask 077
new=$1/$2.new
mkdir -p -- "$1" && cat >"$new" && [ "$(wc -c <"$new")" -eq "$3" ] &&
    mv -f -- "$new" "$1/$2" || {{ rm -f -- "$new"; exit 1; }}
cd -- "$1" && ls -t | grep '[.]log$' | tail -n +{KEPT + 1} | while IFS= read -r old; do rm -f -- "$old"; done
exit 0
"""


def ended(site: Site, container: ObservedContainer, code: str, when: str) -> Diagnostic:
    """Of one that ended. `when` completes the sentence: `before it was ready`."""
    exit_code = container.exit_code or 0
    if container.status == "restarting" or container.restarts:
        what = f"keeps ending {when}, {container.restarts} restarts so far"
    else:
        what = f"exited with {exit_code} {when}"
    found = _look_into(site, container)
    meaning = f": {found.cause.what}" if found.cause is not None else _meaning(container)
    hint = found.cause.hint(service_of(container.name)) if found.cause is not None else _remedy(container)
    message = f"container `{container.name}` {what}{meaning}"
    return Diagnostic(code, message, evidence=found.evidence, hint=hint, host=site.host)


def explained(site: Site, name: str, told: Diagnostic) -> Diagnostic:
    """The same diagnostic with the cause, where what it tells or the log of the container that runs gives one."""
    container = look_closely(site, name)
    if container is None:
        return told
    found = _look_into(site, container, told.evidence)
    if found.cause is None:
        return replace(told, evidence=(*told.evidence, *found.place))
    evidence = (*told.evidence[:1], *found.evidence)
    message = f"{told.message}: {found.cause.what}"
    return replace(told, message=message, evidence=evidence, hint=found.cause.hint(service_of(name)))


@dataclass(frozen=True, slots=True)
class _Found:
    """What the log of a container says. `place`: where it is kept, as evidence."""

    cause: Cause | None
    lines: tuple[str, ...]
    gpus: tuple[str, ...]
    place: tuple[str, ...]

    @property
    def evidence(self) -> tuple[str, ...]:
        if self.cause is None:
            return (*self._last(EVIDENCE_LINES), *self.place) or ("it logged nothing",)
        told = (self.cause.line[:EVIDENCE_LENGTH],) if self.cause.line is not None else ()
        last = tuple(line for line in self._last(ENOUGH_LINES) if line not in told)
        return (*told, *(self.gpus if self.cause.gpu else ()), *last, *self.place)

    def _last(self, lines: int) -> tuple[str, ...]:
        return tuple(line[:EVIDENCE_LENGTH] for line in self.lines[-lines:])


def _look_into(site: Site, container: ObservedContainer, beside: tuple[str, ...] = ()) -> _Found:
    """`beside`: what was said elsewhere, as in the answer to a request; it counts before the log."""
    said, log = site.words(container.error), _log_of(site, container)
    backend = site.context.backend_of(look_closely(site, container.id) or container)
    told = find_cause(Ended(beside, backend))
    cause = told or find_cause(Ended(log, backend, container.oom_killed, said))
    return _Found(
        cause, (*((said,) if said else ()), *log), tuple(_gpus(site, container)), tuple(_keep(site, container, log))
    )


def _log_of(site: Site, container: ObservedContainer) -> tuple[str, ...]:
    """Of its last run; of all runs, where that is too short to have said anything."""
    for since in dict.fromkeys((seconds_of(container.started_at), None)):
        request = LogRequest(container.id, tail=LOOKED_AT, since=since)
        if lines := lines_by_now(site.transport, request, site.context.redactor, LOG_TIMEOUT):
            return lines
    return ()


def _gpus(site: Site, container: ObservedContainer) -> Iterator[str]:
    """Those that it was given, as they were before."""
    for gpu in site.context.gpus.get(site.host, ()):
        if gpu.uuid in container.gpus and gpu.memory_total is not None:
            used = f", {_gib(gpu.memory_used)} of it in use before" if gpu.memory_used else ""
            yield f"GPU {gpu.label}: {gpu.name} with {_gib(gpu.memory_total)}{used}"


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"


def _keep(site: Site, container: ObservedContainer, log: tuple[str, ...]) -> Iterator[str]:
    """Where the log is found when the container is gone. Commands that change nothing keep nothing."""
    if not log or not site.context.apply:
        return
    directory, file = f"{site.context.state_dir}/{site.context.project}/logs", f"{container.name}.log"
    text = "".join(f"{line}\n" for line in log).encode("utf-8", "replace")
    argv = ["sh", "-c", KEEP, "deployer-log", directory, file, str(len(text))]
    try:
        done = site.transport.run(argv, stdin=text, timeout=KEEP_TIMEOUT)
    except HostError:
        return
    if done.exit_code == 0:
        yield f"the whole log is kept on the host: {directory}/{file}"


def _meaning(container: ObservedContainer) -> str:
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
    if container.exit_code == KILLED:
        return f"give `{service}` more memory (`container.memory`), a smaller `options.context_length`, or another host"
    if container.exit_code == BAD_INSTRUCTION:
        return f"give `{service}` an image built for this processor"
    if container.exit_code in (CANNOT_RUN, NOT_FOUND):
        return f"correct `container.command` or the image of `{service}`"
    return f"correct `{service}` as its last lines say, then apply again"
