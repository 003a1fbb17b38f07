"""Who serves whom while a plan runs, and when that is over."""

from __future__ import annotations

import threading

from deployer.engine.peers import Peers, Serving
from deployer.values.secrets import Secret
from deployer.weights.script import Peer


class Row:
    """h1 serves h2 and h3, h2 serves h3."""

    def __init__(self) -> None:
        self.peers = Peers(keep_every=0.01)
        self.kept = {host: threading.Event() for host in ("h1", "h2")}
        self.closed: list[str] = []
        self.serve("h1", "h2", "h3")
        self.serve("h2", "h3")

    def serve(self, host: str, *to: str, manifest: str = "m") -> None:
        peer = Peer(host, f"http://{host}:1", Secret("token"))
        serving = Serving(peer, lambda: self.keep(host), lambda: self.closed.append(f"{manifest} {host}"))
        self.peers.serves(manifest, serving, to)

    def keep(self, host: str) -> None:
        self.kept[host].set()
        if host == "h1":
            raise OSError("its connection is gone")

    def of(self, *hosts: str) -> list[str]:
        return [peer.host for peer in self.peers.of("m", hosts)]


def test_whoever_serves_is_known_in_the_order_that_is_asked_for() -> None:
    row = Row()
    assert row.of("h2", "h1", "h9") == ["h2", "h1"]
    assert row.peers.of("another", ("h1", "h2")) == ()


def test_a_server_ends_when_all_that_it_was_for_are_done() -> None:
    row = Row()
    row.peers.ended("m", "h1", failed=False)
    row.peers.ended("m", "h2", failed=False)
    assert row.closed == []
    row.peers.ended("m", "h3", failed=False)
    assert sorted(row.closed) == ["m h1", "m h2"]
    assert row.of("h1", "h2") == []


def test_who_gives_up_serves_nobody_any_more() -> None:
    row = Row()
    row.peers.ended("m", "h2", failed=True)
    assert row.closed == ["m h2"]
    assert row.of("h2", "h1") == ["h1"]


def test_at_the_end_of_a_run_nobody_serves() -> None:
    row = Row()
    row.serve("h1", "h2", manifest="n")
    row.peers.close()
    row.peers.close()
    assert sorted(row.closed) == ["m h1", "m h2", "n h1"]


def test_all_that_serve_are_told_that_they_are_wanted_until_the_end() -> None:
    row = Row()
    for _ in range(2):
        for told in row.kept.values():
            told.clear()
        assert all(told.wait(20) for told in row.kept.values()), "whatever became of the first one"
    row.peers.close()
    keepers = [thread for thread in threading.enumerate() if thread is row.peers._keeper]
    for keeper in keepers:
        keeper.join(20)
        assert not keeper.is_alive()


def test_where_only_one_may_serve_the_first_one_does() -> None:
    peers = Peers()
    assert [peers.claims("h1"), peers.claims("h1"), peers.claims("h2")] == [True, False, True]
    peers.frees("h1")
    assert peers.claims("h1")
