"""Waiting for something to become true, instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(check: Callable[[], T], within: float = 10.0, every: float = 0.1) -> T:
    """What `check` returns once that is true and it raises no AssertionError; its last word after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        try:
            result = check()
            if result:
                return result
            problem: BaseException = AssertionError(f"{check.__name__} was never true within {within:g} s: {result!r}")
        except AssertionError as error:
            problem = error
        if time.monotonic() > deadline:
            raise problem
        time.sleep(every)
