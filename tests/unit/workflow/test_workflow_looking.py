"""A look at the hosts names those it still waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from deployer.values.events import Event, Note
from deployer.workflow.looking import Connecting, Spoken, still_looking


class OneSlow:
    """Hosts of which one does not answer until it is told to."""

    def __init__(self, go_on: threading.Event) -> None:
        self._go_on = go_on

    def map(self, names: Iterable[str], work: Callable[[Any], Any], limit: int = 32) -> dict[str, Any]:
        found = {}
        for name in sorted(names):
            if name == "slow":
                assert self._go_on.wait(10)
            found[name] = work(SimpleNamespace(name=name))
        return found


def test_it_names_only_the_hosts_that_are_missing() -> None:
    go_on = threading.Event()
    said: list[str] = []

    def report(event: Event) -> None:
        assert isinstance(event, Note)
        said.append(event.what)
        go_on.set()

    found = Spoken(OneSlow(go_on), report, every=0.05).map(["quick", "slow"], lambda host: host.name)
    assert found == {"quick": "quick", "slow": "slow"}
    assert said[0].startswith("still looking at slow (")


def test_many_hosts_are_counted() -> None:
    assert still_looking([f"h{i}" for i in range(10)], 20.4) == (
        "still looking at h0, h1, h2, h3, h4, h5, h6, h7 and 2 more (20 s)"
    )


class Reached:
    """Hosts that are reached one after the other, or not at all."""

    def map(self, names: Iterable[str], work: Callable[[Any], Any], limit: int = 32) -> dict[str, Any]:
        found = {}
        for name in names:
            try:
                found[name] = work(self.host(name))
            except ConnectionError as error:
                found[name] = error
        return found

    def host(self, name: str) -> Any:
        def connect() -> None:
            if name == "dead":
                raise ConnectionRefusedError(name)

        return SimpleNamespace(name=name, connect=connect)


def test_it_is_told_once_the_last_host_is_connected_or_cannot_be() -> None:
    over, seen = threading.Event(), []

    def look(host: Any) -> str:
        seen.append((host.name, over.is_set()))
        return str(host.name)

    found = Connecting(Reached(), over).map(["a", "dead", "b"], look)
    assert seen == [("a", False), ("b", True)]
    assert isinstance(found["dead"], ConnectionRefusedError)


def test_without_hosts_nobody_waits() -> None:
    over = threading.Event()
    assert Connecting(Reached(), over).map([], lambda host: host) == {}
    assert over.is_set()
