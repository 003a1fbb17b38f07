"""What can go wrong, as values: diagnostics, and the exceptions that carry them.

DeployerError(diagnostics)                 exit 1
├── SpecError            what was written
├── HostError            a host could not be used (carries the host's name)
│   ├── UnreachableError      no TCP connection, no answer, connection lost
│   ├── AuthenticationError   no key or password was accepted
│   ├── HostKeyError          unknown, changed or revoked host key
│   └── DockerError           Docker is missing, down, too old or not permitted
├── OperationError       a step of a plan failed
├── RefusedError         locked, stale, foreign, protected              exit 3
├── UsageError           the command line                               exit 64
└── InterruptedByUser    Ctrl-C or SIGTERM                              exit 130
Nothing here prints: `view/` turns a diagnostic into text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field
from enum import StrEnum
from typing import ClassVar

from deployer.dataclass import dataclass


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a text a person wrote; lines and columns count from 1."""

    file: str
    line: int
    column: int
    text: str = ""  # the line itself, without its newline
    key: str = ""  # the key path, as `services.chat.options.context_length`

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem: a unique kebab-case code, the thing named, evidence, one thing to do.

    Sentences have no trailing period; literals stand in backticks.
    """

    code: str
    message: str
    where: Where | None = None
    evidence: tuple[str, ...] = ()
    hint: str | None = None
    severity: Severity = Severity.ERROR
    host: str | None = None


def warning(code: str, message: str, where: Where | None = None, hint: str | None = None) -> Diagnostic:
    return Diagnostic(code, message, where=where, hint=hint, severity=Severity.WARNING)


class DeployerError(Exception):
    """Base of all expected failures; carries at least one diagnostic."""

    exit_code: ClassVar[int] = 1

    def __init__(self, diagnostics: Diagnostic | Iterable[Diagnostic]) -> None:
        self.diagnostics: tuple[Diagnostic, ...] = (
            (diagnostics,) if isinstance(diagnostics, Diagnostic) else tuple(diagnostics)
        )
        super().__init__("; ".join(f"{d.code}: {d.message}" for d in self.diagnostics))


class SpecError(DeployerError):
    pass


class HostError(DeployerError):
    """A host could not be used; its single diagnostic names the host."""

    @property
    def diagnostic(self) -> Diagnostic:
        return self.diagnostics[0]


class UnreachableError(HostError):
    pass


class AuthenticationError(HostError):
    pass


class HostKeyError(HostError):
    pass


class DockerError(HostError):
    pass


class OperationError(DeployerError):
    @property
    def diagnostic(self) -> Diagnostic:
        return self.diagnostics[0]


class RefusedError(DeployerError):
    exit_code = 3


class UsageError(DeployerError):
    exit_code = 64


class InterruptedByUser(DeployerError):
    exit_code = 130


@dataclass(slots=True)
class Problems:
    """Collects diagnostics while parsing, so that one run shows all of them."""

    found: list[Diagnostic] = field(default_factory=list)

    def add(self, diagnostic: Diagnostic) -> None:
        self.found.append(diagnostic)

    def extend(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.found.extend(diagnostics)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self.found if d.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self.found if d.severity is not Severity.ERROR)

    def raise_errors(self, kind: type[DeployerError] = SpecError) -> None:
        """Raises `kind` with everything found (warnings too) if there is an error."""
        if self.errors:
            raise kind(self.found)
