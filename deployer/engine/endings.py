"""Whether the container behind a broken connection has ended, and how that is told."""

from __future__ import annotations

import time

from deployer.engine.context import Site
from deployer.engine.failed_container import ended
from deployer.engine.ownership import look
from deployer.engine.readiness import ENDED
from deployer.errors import Diagnostic
from deployer.values.facts import ObservedContainer

SETTLES_WITHIN = 3.0  # seconds until Docker has noticed that a process ended


def ended_since(site: Site, name: str, before: ObservedContainer | None, when: str) -> Diagnostic | None:
    """`died-on-request` where the container has ended, or was restarted; None where it runs on. `before`: as it was
    when it was asked; `when` completes the sentence, as `at its first request`."""
    deadline = time.monotonic() + SETTLES_WITHIN
    while time.monotonic() < deadline:
        now = look(site, name)
        if now is None:
            break
        restarts = before.restarts if before else 0
        if now.status in ENDED or now.restarts > restarts:
            return ended(site, now, "died-on-request", when)
        time.sleep(0.2)
    return None
