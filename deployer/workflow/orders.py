"""How an apply is to be done, beside the plan."""

from __future__ import annotations

import time
from collections.abc import Callable

from deployer.dataclass import dataclass
from deployer.engine.interrupt import InterruptFlag
from deployer.errors import Diagnostic, InterruptedByUser
from deployer.values.events import Event


@dataclass(frozen=True, slots=True)
class Orders:
    """`report` takes events from any thread; `lock_wait` in seconds; `reason`: why a rollback is done, for those
    whom its hold meets. `watches`: it only brings back what an apply left."""

    report: Callable[[Event], object]
    interrupt: InterruptFlag
    lock_wait: float = 0.0
    reason: str = ""
    watches: bool = False

    def pause(self, seconds: float) -> None:
        """Sleeps; raises InterruptedByUser as soon as the user asks to stop."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.interrupt.is_set:
                raise InterruptedByUser(Diagnostic("interrupted", "interrupted while waiting; nothing was changed"))
            time.sleep(min(left, 0.2))
