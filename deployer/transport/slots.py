"""The few sessions sshd gives one connection (MaxSessions, 10 by default), shared out among threads."""

from __future__ import annotations

import threading
import time

SESSIONS = 8  # of sshd's 10: a person's own `ssh` over the same master, and a diagnosis, still fit
DIALS = 5  # of those, for `docker system dial-stdio`: commands must not starve

SLOT_TIMEOUT = 120.0  # seconds to wait for one
# sshd counts a session until it has read our close of it, so that one refusal means little.
PATIENCE = (0.03, 0.06, 0.12, 0.24)


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
            self._limit = max(1, min(self._limit, self._used))
            self._changed.notify()
            return self._used > 0


class Slot:
    """One slot that is held; given back once, for good or not."""

    def __init__(self, slots: Slots) -> None:
        self._slots: Slots | None = slots

    def release(self) -> None:
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.release()

    def shrink(self) -> bool:
        slots, self._slots = self._slots, None
        return slots is not None and slots.shrink()
