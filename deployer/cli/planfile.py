"""Plan files: what `plan -o` writes and `apply FILE` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deployer.errors import DeployerError, Diagnostic, RefusedError
from deployer.values.plan import Plan
from deployer.workflow import Planned

MOST = 256 << 20  # bytes


def write_plan(path: str, plan: Plan, carried: dict[str, Any]) -> None:
    """Readable by its owner only: it holds what was observed on the hosts."""
    from deployer.view.json_text import render_json
    from deployer.view.plan_json import plan_json
    from deployer.workflow.files import write_beside

    text = render_json({**plan_json(plan), "carried": carried})
    write_beside(Path(path), text.encode(), mode=0o600, hint="name another file")


def read_plan(path: str) -> Planned:
    """The plan a file holds, made anew. RefusedError where the file is not its own result."""
    from deployer.view.json_text import render_json
    from deployer.view.plan_json import plan_json
    from deployer.workflow.saved import replan

    planned, document = replan(read_bytes(path))
    if render_json(document) != render_json(plan_json(planned.plan)):
        message = "the saved plan shows something else than its spec and facts give"
        hint = "make a new one with `deployer plan -o FILE`"
        raise RefusedError(Diagnostic("plan-not-its-own", message, hint=hint))
    return planned


def read_bytes(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(MOST + 1)
    except OSError as error:
        message = f"`{path}` cannot be read: {error.strerror}"
        raise DeployerError(Diagnostic("cannot-read", message, hint="check the path")) from None
