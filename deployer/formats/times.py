"""Times as Docker and hosts write them (RFC 3339, UTC)."""

from __future__ import annotations

import re
from calendar import timegm

TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)", re.ASCII)


def seconds_of(time: str) -> int | None:
    """Whole seconds since 1970; None for what is no such time."""
    match = TIME.match(time)
    if match is None:
        return None
    try:
        return max(0, timegm((*map(int, match.groups()), 0, 0, 0)))
    except ValueError:
        return None
