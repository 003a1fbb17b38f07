"""The secrets of a run: looked up once when first needed, sent only where the spec allows, known to the redactor."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from deployer.dataclass import dataclass
from deployer.engine.redaction import Redactor
from deployer.engine.secret_sources import SourceReader
from deployer.errors import Diagnostic, OperationError
from deployer.planning.hosts import hosts_named
from deployer.spec.language import SecretSource
from deployer.spec.project import Project
from deployer.values.secrets import Secret


@dataclass(slots=True)
class _Slot:
    """One secret's value, or why there is none; both are kept, so that no command runs twice."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    value: Secret | None = None
    error: OperationError | None = None


class SecretStore:
    """Values by name; safe to use from several threads. `allowed`: the hosts a secret may be sent to, where limited."""

    def __init__(
        self, sources: Mapping[str, SecretSource], reader: SourceReader, allowed: Mapping[str, frozenset[str]]
    ) -> None:
        self._sources, self._reader, self._allowed = sources, reader, allowed
        self._slots = {name: _Slot() for name in sources}
        self.redactor = Redactor()

    @classmethod
    def of(cls, project: Project, environ: Mapping[str, str] = os.environ) -> SecretStore:
        spec = project.spec
        limited = {n: frozenset(hosts_named(spec, s.hosts)) for n, s in spec.secrets.items() if s.hosts is not None}
        return cls(spec.secrets, SourceReader(Path(project.path).absolute().parent, environ), limited)

    def value(self, name: str, host: str | None) -> Secret:
        """The value, for `host` to be given it (None: it stays on the controller).

        OperationError: `unknown-secret`, `secret-not-for-host`, `secret-unavailable`.
        """
        source = self._sources.get(name)
        if source is None:
            raise OperationError(
                Diagnostic("unknown-secret", f"secret `{name}` is not in `secrets`", hint=f"add `{name}` to `secrets`")
            )
        if host is not None and host not in self._allowed.get(name, {host}):
            raise OperationError(
                Diagnostic(
                    "secret-not-for-host",
                    f"secret `{name}` may not be sent to host `{host}`",
                    hint=f"place the service elsewhere, or widen `secrets.{name}.hosts`",
                    host=host,
                )
            )
        return self._looked_up(name, source)

    def _looked_up(self, name: str, source: SecretSource) -> Secret:
        slot = self._slots[name]
        with slot.lock:
            if slot.value is None and slot.error is None:
                try:
                    slot.value = self._reader.read(name, source)
                    self.redactor.add(slot.value.reveal())
                except OperationError as error:
                    slot.error = error
            if slot.value is None:
                assert slot.error is not None
                raise OperationError(slot.error.diagnostics)
            return slot.value
