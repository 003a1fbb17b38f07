"""The few sessions sshd gives one connection (MaxSessions, 10 by default), shared out among threads."""

from __future__ import annotations

import threading
import time

SESSIONS = 8  # of sshd's 10: a person's own `ssh` over the same master, and a diagnosis, still fit
DIALS = 5  # of those, for `docker system dial-stdio`: commands must not starve

SLOT_TIMEOUT = 120.0  # seconds to wait for one


class Slots:
    """A semaphore that learns: `shrink` lowers the limit when the host allowed less than was thought."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._changed = threading.Condition()

    def acquire(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._used >= self._limit:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return False
            self._used += 1
            return True

    def release(self) -> None:
        with self._changed:
            self._used -= 1
            self._changed.notify()

    def shrink(self) -> bool:
        """Gives one slot back for good and lowers the limit to what is in use. False: nothing else was in use."""
        with self._changed:
            self._used -= 1
            self._changed.notify()
            if self._used < 1:
                return False
            self._limit = min(self._limit, self._used)
            return True
