"""Connections that are dropped are tried again later and later, and not all at the same moment."""

from __future__ import annotations

from deployer.transport.base import ConnectOptions
from deployer.transport.link import LONGEST_PAUSE, pause_before


def pauses(jitter: float) -> list[float]:
    options = ConnectOptions(jitter=lambda: jitter)
    return [pause_before(attempt, options) for attempt in range(1, options.attempts)]


def test_each_pause_is_longer_up_to_a_bound() -> None:
    for jitter in (0.0, 0.5, 1.0):
        found = pauses(jitter)
        assert found == sorted(found)
        assert max(found) <= LONGEST_PAUSE * 1.5


def test_all_pauses_together_outlast_a_storm_and_are_no_eternity() -> None:
    assert 5 < sum(pauses(0.0)) < sum(pauses(1.0)) < 25


def test_two_hosts_that_were_dropped_together_come_again_apart() -> None:
    assert all(early * 2 < late for early, late in zip(pauses(0.0), pauses(1.0), strict=True))
