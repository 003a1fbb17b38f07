"""What a setup template makes, checked: a list of tasks with `name`, `check` and `do`.

`{digest}` in any text of a task stands for the digest of the task itself: a mark that `do` leaves and `check` finds.
"""

from __future__ import annotations

import re
from typing import Any

from deployer.planning.render_template import template_error
from deployer.values.canonical import digest
from deployer.values.codec import from_data
from deployer.values.setup import SetupTask

MARK, MARK_LENGTH = "{digest}", 16


def parse_setup(name: str, data: Any, timeout: float) -> tuple[SetupTask, ...]:
    """SpecError for anything but a list of tasks. `timeout` in seconds is for those that say none."""
    entries = [] if data is None else data
    if not isinstance(entries, list):
        raise template_error(name, "it must make a list of tasks")
    tasks = []
    for entry in entries:
        written = {"timeout": timeout, **entry} if isinstance(entry, dict) else entry
        try:
            task = from_data(SetupTask, _marked(written, digest(written)[:MARK_LENGTH]))
            for pattern in task.expect:
                re.compile(pattern)
        except (ValueError, re.error) as error:
            raise template_error(name, f"a task is not one: {error}") from error
        tasks.append(task)
    return tuple(tasks)


def _marked(value: Any, mark: str) -> Any:
    if isinstance(value, str):
        return value.replace(MARK, mark)
    if isinstance(value, list):
        return [_marked(item, mark) for item in value]
    if isinstance(value, dict):
        return {key: _marked(item, mark) for key, item in value.items()}
    return value
