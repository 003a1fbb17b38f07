"""What follows a `docker run` where the backend must be told more once it answers: commands to copy."""

from __future__ import annotations

import json
from collections.abc import Iterable
from shlex import quote as quoted

from deployer.values.operations import AwaitReady, Endpoint, EnsureSetup
from deployer.values.setup import ExecCall, HttpCall


def setup_text(ready: AwaitReady, operations: Iterable[EnsureSetup]) -> str:
    """Shell lines for the replica's own host; empty where there is nothing to do."""
    lines = [_line(operation, call) for operation in operations for call in operation.task.do]
    if not lines:
        return ""
    wait = f"until curl -fsS {quoted(_url(ready.endpoint, ready.path))} >/dev/null; do sleep 1; done"
    return "\n".join([wait, *lines]) + "\n"


def _line(operation: EnsureSetup, call: HttpCall | ExecCall) -> str:
    if isinstance(call, ExecCall):
        return " ".join(map(quoted, ("docker", "exec", operation.name, *call.argv)))
    words = ["curl", "-fsS", "-X", call.method, _url(operation.endpoint, call.path)]
    if call.body is not None:
        words += ["-H", "Content-Type: application/json", "-d", json.dumps(call.body, ensure_ascii=False)]
    return " ".join(map(quoted, words))


def _url(endpoint: Endpoint, path: str) -> str:
    address = f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address
    return f"http://{address}:{endpoint.port}{path}"
