"""A client that asks every replica of a service all the time, by the replica's own port, and remembers who answered."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

from labkit.hosts import Lab

PORTS = "docker ps --no-trunc --filter label=deployer.service=chat --format '{{.Ports}}'"
BODY = json.dumps({"messages": [{"role": "user", "content": "What is the capital of France?"}]})
TIMEOUT = 5.0


@dataclass
class Hammer:
    """One thread a host. `gaps`: by host, when it had no replica that answered, each from its first failure to its
    last."""

    lab: Lab
    hosts: tuple[str, ...]
    gaps: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    last: dict[str, list[str]] = field(default_factory=dict)  # by host, what each port said
    whys: list[str] = field(default_factory=list)  # what was seen when a gap began

    def __enter__(self) -> Hammer:
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(host,), daemon=True) for host in self.hosts]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self, host: str) -> None:
        gaps: list[tuple[float, float]] = []
        self.gaps[host], self.asked[host] = gaps, 0
        ports: set[int] = set()
        since: float | None = None
        while not self._done.wait(0.02):
            self.asked[host] += 1
            is_up = self._answers(host, ports)
            if not is_up:
                ports = self._ports(host)  # the successor has another one
                is_up = self._answers(host, ports)
            if is_up:
                since = None
                continue
            now = time.monotonic()
            if since is None:
                since = now
                gaps.append((now, now))
                self.whys.append(f"{host}: {self.last.get(host)}, of ports {sorted(ports)}")
            gaps[-1] = (since, now)

    def _ports(self, host: str) -> set[int]:
        published = self.lab.sh(host, PORTS).replace(",", " ").split()
        return {int(word.partition("->")[0].rpartition(":")[2]) for word in published if "->" in word}

    def _answers(self, host: str, ports: set[int]) -> bool:
        self.last[host] = [f"{port} {self._answer(host, port)}" for port in sorted(ports)]
        return any(said.endswith(" is right") for said in self.last[host])

    def _answer(self, host: str, port: int) -> str:
        """`is right`, or what was wrong."""
        connection, began = http.client.HTTPConnection(self.lab.address(host), port, timeout=TIMEOUT), time.monotonic()
        try:
            connection.request("POST", "/v1/chat/completions", BODY, {"Content-Type": "application/json"})
            response = connection.getresponse()
            said = response.read()
            is_right = response.status == 200 and b"Paris" in said
            return "is right" if is_right else f"answers {response.status} {said[:200]!r}"
        except (OSError, http.client.HTTPException) as error:
            return f"gives no answer after {time.monotonic() - began:.1f} s: {error!r}"
        finally:
            connection.close()

    def fewest(self) -> int:
        """How many hosts served at the worst moment."""
        edges = sorted([(start, 1) for gaps in self.gaps.values() for start, _ in gaps]
                       + [(end, 2) for gaps in self.gaps.values() for _, end in gaps])  # fmt: skip
        down = worst = 0
        for _, edge in edges:  # of one moment the starts come first
            down += 1 if edge == 1 else -1
            worst = max(worst, down)
        return len(self.hosts) - worst
