"""One stream of events into one reporter: plain lines, live bars or JSON lines."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from deployer.values.events import Event


class Reporter(AbstractContextManager["Reporter"], Protocol):
    """Takes events from any thread between `with` and its end."""

    def emit(self, event: Event) -> None: ...
