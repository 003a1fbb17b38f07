"""A change by the Docker engine that its host makes only while this apply holds the project's lock there.

The host looks at the lock and makes the change in one script, and no other apply takes the lock while that runs. So an
apply that slept, was stopped or was cut off changes nothing after another took over, whatever it had already sent: what
arrives late is looked at when it arrives. A change that had begun is waited for by whoever comes next.

What is not bound that way: requests to a model server's own port (setup), checked by `ApplyContext.fence` right before;
what is whole or absent and harmless twice (images, weights, directories, the journal); and a host whose `curl` knows
no `--unix-socket`, or that has none, where an apply that sleeps between the look and the change, some milliseconds,
wakes up to a change that was never asked for.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from deployer.dataclass import dataclass
from deployer.docker.calls import engine_lost
from deployer.errors import Diagnostic, HostError, OperationError

if TYPE_CHECKING:
    import docker

    from deployer.transport.base import Transport
    from deployer.transport.guarded import EngineAnswer, EngineRequest

SCRIPT_TAKES = 60.0  # seconds that the script may wait for others before the engine is asked
OVERDUE = "curl 28"


class RunningMoved(Exception):
    """Other containers run than when the change was decided on; nothing was done."""


@dataclass(frozen=True, slots=True)
class Guard:
    """The lock of apply `apply` in `directory` on a host. `running`: see `digest_of`; empty: whatever runs."""

    transport: Transport
    directory: str
    apply: str
    running: str = ""

    def client(self) -> docker.APIClient:
        """For changes: raises OperationError `lock-lost` instead of making them, RunningMoved, or HostError."""
        from deployer.transport.guarded import guarded

        return guarded(self.transport.docker(), self.send)

    def send(self, request: EngineRequest) -> EngineAnswer | None:
        """None where the host cannot do it in one go, though the lock is ours."""
        from deployer.transport.guarded import EngineAnswer

        host, limit = self.transport.host, math.ceil(request.seconds)
        arguments = [self.directory, self.apply, str(limit), host.docker.socket, request.method, request.path]
        argv = ["sh", "-c", script(), "deployer-guard", *arguments, request.kind, self.running]
        done = self.transport.run(argv, stdin=request.body, timeout=limit + SCRIPT_TAKES)
        body, _, last = done.stdout.rpartition(b"\n")
        word = last.decode("ascii", "replace")
        if word.isdecimal() and len(word) == 3 and word != "000":
            return EngineAnswer(int(word), body)
        if word == "no-curl":
            return None
        raise self._failure(word, done.stderr)

    def _failure(self, word: str, stderr: bytes) -> Exception:
        name = self.transport.name
        if word == "moved":
            return RunningMoved()
        if word == "lost":
            return lock_lost(name, "another apply took it over, or it was taken away")
        if word.startswith("curl "):
            return engine_lost(name, "no answer in time" if word == OVERDUE else "the connection was closed")
        evidence = tuple(stderr.decode("utf-8", "replace").splitlines()[-3:])
        message, hint = (
            "its shell could not make the change",
            "see that `sh`, `head`, `grep` and `sha256sum` work there",
        )
        return HostError(
            Diagnostic("guard-failed", f"host `{name}`: {message}", evidence=evidence, hint=hint, host=name)
        )


@cache
def script() -> str:
    return resources.files("deployer.engine").joinpath("guard_script.sh").read_text("utf-8")


def digest_of(running: Iterable[str]) -> str:
    """Of the ids of all containers that run, as the script makes it."""
    return hashlib.sha256("".join(f'"Id":"{id_}"\n' for id_ in sorted(set(running))).encode()).hexdigest()


def lock_lost(host: str, why: str) -> OperationError:
    return OperationError(
        Diagnostic("lock-lost", f"host `{host}`: the lock was lost: {why}", hint="apply again", host=host)
    )
