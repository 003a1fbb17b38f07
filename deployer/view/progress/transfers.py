"""All bytes of a run, those that came, come, and are still to come: summed up per host and in total."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from deployer.dataclass import dataclass
from deployer.view.measures import render_bytes
from deployer.view.progress.speed import Speed, render_speed


@dataclass(slots=True)
class Transfer:
    """One step's. Of one that is still to come, or over, there is no speed."""

    host: str
    speed: Speed = field(default_factory=Speed)
    comes: bool = False


@dataclass(slots=True)
class Transfers:
    """By step. Of a run that said them ahead (`is_planned`) those alone, from the first to the last; of another what
    comes at the moment: nobody knows what all is."""

    known: dict[str, Transfer] = field(default_factory=dict)
    is_planned: bool = False

    def plan(self, steps: Mapping[str, tuple[str, int | None]]) -> None:
        self.known = {step: Transfer(host, Speed(total=total)) for step, (host, total) in steps.items()}
        self.is_planned = True

    def note(self, step: str, transfer: Transfer) -> None:
        """One that comes."""
        if step in self.known or not self.is_planned:
            self.known[step] = transfer

    def ended(self, step: str, *, whole: bool) -> None:
        """One that brought nothing, or not all, is none any more."""
        transfer = self.known.get(step)
        if transfer is None:
            return
        del self.known[step]
        if self.is_planned and whole and transfer.comes and transfer.speed.total is not None:
            self.known[step] = Transfer(transfer.host, Speed.over(transfer.speed.total))

    def told(self, now: float) -> Mapping[str, str]:
        """`1.2 GiB of 8 GiB, 310 MiB/s, 22 s left` of each host with several, by its name, and at last of all of them,
        by an empty one. Nothing where none comes."""
        hosts = sorted({transfer.host for transfer in self.known.values()})
        found = {host: [t for t in self.known.values() if t.host == host] for host in hosts if len(hosts) > 1}
        found[""] = [*self.known.values()]
        return {host: _sum(all_, now) for host, all_ in found.items() if len(all_) > 1 and any(t.comes for t in all_)}


def _sum(transfers: list[Transfer], now: float) -> str:
    speeds = [transfer.speed for transfer in transfers]
    totals = [speed.total for speed in speeds]
    total = "" if None in totals else f" of {render_bytes(sum(total or 0 for total in totals))}"
    speed = render_speed(speeds, now)
    return f"{render_bytes(sum(speed.done for speed in speeds))}{total}" + (f", {speed}" if speed else "")
