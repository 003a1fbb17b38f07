"""How wrong a host's clock is, as far as one answer can tell. Reads no clock itself."""

from __future__ import annotations

from datetime import UTC, datetime
from math import ceil, floor


def clock_skew(said: str, began: float, ended: float) -> int | None:
    """Seconds by which a clock is at least ahead (below 0: behind); 0 where it may be right.

    `said`, as `date -u` writes a whole second, was said at some time between two of ours. None where it is no time.
    """
    try:
        second = datetime.strptime(said, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
    if second > ended:
        return floor(second - ended)
    return ceil(second + 1 - began) if second + 1 < began else 0
