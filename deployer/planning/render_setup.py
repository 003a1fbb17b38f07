"""What a setup template makes, checked: a list of tasks with `name`, `check` and `do`."""

from __future__ import annotations

import re
from typing import Any

from deployer.planning.render_template import template_error
from deployer.values.codec import from_data
from deployer.values.setup import SetupTask


def parse_setup(name: str, data: Any, timeout: float) -> tuple[SetupTask, ...]:
    """SpecError for anything but a list of tasks. `timeout` in seconds is for those that say none."""
    entries = [] if data is None else data
    if not isinstance(entries, list):
        raise template_error(name, "it must make a list of tasks")
    tasks = []
    for entry in entries:
        written = {"timeout": timeout, **entry} if isinstance(entry, dict) else entry
        try:
            task = from_data(SetupTask, written)
            for pattern in task.expect:
                re.compile(pattern)
        except (ValueError, re.error) as error:
            raise template_error(name, f"a task is not one: {error}") from error
        tasks.append(task)
    return tuple(tasks)
