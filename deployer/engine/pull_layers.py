"""What Docker says about the layers of one pull, summed up. Reads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from deployer.dataclass import dataclass


@dataclass(slots=True)
class Layers:
    """Sums what Docker says about the layers of one pull."""

    done_of: dict[str, int] = field(default_factory=dict)
    total_of: dict[str, int | None] = field(default_factory=dict)
    complete: set[str] = field(default_factory=set)
    last_of: dict[str, int] = field(default_factory=dict)
    fetched: int = 0  # bytes, those of layers that were begun anew too
    retrying: str = ""

    def hear(self, message: Mapping[str, Any]) -> None:
        layer, status = message.get("id"), message.get("status")
        if not isinstance(layer, str) or not isinstance(status, str) or status.startswith("Pulling from"):
            return
        if len(self.total_of) >= 1000 and layer not in self.total_of:
            return
        self.retrying = status.lower()[:40] if status.startswith("Retrying in ") else ""
        detail = message.get("progressDetail")
        detail = detail if isinstance(detail, dict) else {}
        self.total_of.setdefault(layer, None)
        if status == "Already exists":
            self.total_of[layer] = 0
            self.complete.add(layer)
        elif status == "Downloading":
            self._count(layer, detail)
        elif status in ("Download complete", "Extracting", "Pull complete"):
            self._downloaded(layer, detail)
            if status == "Pull complete":
                self.complete.add(layer)

    def _count(self, layer: str, detail: Mapping[str, Any]) -> None:
        current, total = detail.get("current"), detail.get("total")
        if isinstance(total, int) and total > 0:
            self.total_of[layer] = total
        if isinstance(current, int):
            self.fetched += max(0, current - self.last_of.get(layer, 0))
            self.last_of[layer] = current
            self.done_of[layer] = max(current, self.done_of.get(layer, 0))

    def _downloaded(self, layer: str, detail: Mapping[str, Any]) -> None:
        """Small layers are never said to be downloading; extracting then tells their size."""
        total = detail.get("total")
        if self.total_of[layer] is None:
            self.total_of[layer] = total if isinstance(total, int) else self.done_of.get(layer, 0)
        self.done_of[layer] = self.total_of[layer] or 0

    @property
    def done(self) -> int:
        return sum(self.done_of.values())

    @property
    def total(self) -> int | None:
        """None until every layer's size is known."""
        sizes = list(self.total_of.values())
        return None if not sizes or None in sizes else sum(size or 0 for size in sizes)

    @property
    def note(self) -> str:
        layers = f"{len(self.complete)} of {len(self.total_of)} layers" if self.total_of else ""
        return f"{layers}, {self.retrying}" if self.retrying else layers
