"""Short commands that leave something on hosts, a host's in one round trip. What it does not take is a warning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from secrets import token_hex
from typing import TYPE_CHECKING

from deployer.dataclass import dataclass
from deployer.engine.fanout import on_each
from deployer.engine.redaction import clean
from deployer.errors import DeployerError, Diagnostic, HostError, Severity
from deployer.transport.failures import command_failed
from deployer.transport.quoting import script_of

if TYPE_CHECKING:
    from deployer.engine.context import Transports
    from deployer.transport.base import Completed, Transport

WRITE_TIMEOUT = 20.0  # seconds


@dataclass(frozen=True, slots=True)
class Parting:
    """`check` raises the HostError of a command that went wrong; `warning` says so of a host, and why. `timeout`:
    seconds."""

    argv: Sequence[str]
    check: Callable[[Transport, Completed], object]
    warning: Callable[[str, Diagnostic], Diagnostic]
    timeout: float
    stdin: bytes = b""


def written(code: str, what: str, directory: str, argv: Sequence[str], text: bytes) -> Parting:
    """A command that writes `text` below `directory`; its exit code says whether it did. `code`: of the diagnostic."""

    def check(transport: Transport, done: Completed) -> None:
        if done.exit_code != 0:
            words = clean(done.stderr[-500:].decode("utf-8", "replace"))
            raise HostError(Diagnostic(code, words or f"exit code {done.exit_code}", host=transport.name))

    def warning(host: str, why: Diagnostic) -> Diagnostic:
        return Diagnostic(
            code,
            f"host `{host}`: {what} could not be written",
            evidence=(why.message,),
            hint=why.hint or f"see that `{directory}` can be written",
            severity=Severity.WARNING,
            host=host,
        )

    return Parting(argv, check, warning, WRITE_TIMEOUT, text)


def part(transports: Transports, partings: Mapping[str, Sequence[Parting]]) -> tuple[Diagnostic, ...]:
    """Runs those of each host, in their order, all hosts at once; the warnings."""
    tried = on_each(partings, lambda host: _parted(transports[host], partings[host]))
    return tuple(w for host, found in tried.items() for w in _warnings(host, partings[host], found))


def _parted(transport: Transport, partings: Sequence[Parting]) -> list[DeployerError | None]:
    return [_wrong(transport, p, done) for p, done in zip(partings, _run(transport, partings), strict=True)]


def _wrong(transport: Transport, parting: Parting, done: Completed) -> DeployerError | None:
    try:
        parting.check(transport, done)
    except DeployerError as error:
        return error
    return None


def _warnings(
    host: str, partings: Sequence[Parting], found: Sequence[DeployerError | None] | DeployerError
) -> list[Diagnostic]:
    errors = [found] * len(partings) if isinstance(found, DeployerError) else found
    return [p.warning(host, e.diagnostics[0]) for p, e in zip(partings, errors, strict=True) if e is not None]


def _run(transport: Transport, partings: Sequence[Parting]) -> list[Completed]:
    if len(partings) == 1:
        (one,) = partings
        return [transport.run(one.argv, stdin=one.stdin, timeout=one.timeout)]
    marker = token_hex(16)
    script = script_of(((p.argv, p.stdin) for p in partings), marker)
    done = transport.run(["sh", "-s"], stdin=script, timeout=sum(p.timeout for p in partings))
    said = parse_parts(done, marker)
    if len(said) != len(partings):
        raise command_failed(transport.name, "sh", done.exit_code, done.stderr)
    return said


def parse_parts(done: Completed, marker: str) -> list[Completed]:
    """What each command of a script said, as `script_of` has it."""
    from deployer.transport.base import Completed

    *errors, _ = [*done.stderr.split(f"\n{marker}\n".encode()), b""]
    first, *others = done.stdout.split(f"\n{marker} ".encode())
    found, said = [], first
    for number, other in enumerate(others):
        code, _, after = other.partition(b"\n")
        if not code.isdigit():
            break  # it was cut short
        found.append(Completed(int(code), said, errors[number] if number < len(errors) else b""))
        said = after
    return found
