"""Why a replica fits on no host, for people: every host with its reason, and one thing to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deployer.errors import Diagnostic, Where
from deployer.pattern import pattern
from deployer.values.names import ReplicaKey

LEFTOVER = pattern(r"held by leftover docker-proxy \(pid (\d+)\)")
HOLDERS = pattern(r" \(GPU \d+ .*?\)(?=;|\Z)")  # which differ from host to host
SHOWN_ONE_BY_ONE = 30  # hosts; of more, those with the same reason share a line
MOST_LINES = 60
MOST_SHOWN = 3  # changes


def no_placement(
    keys: Sequence[ReplicaKey], where: Where | None, refusals: Mapping[str, str], fits: Sequence[tuple[str, str]] = ()
) -> Diagnostic:
    """`fits`: changes that were tried and place them, as instructions, each with a host that takes one then; without a
    host: it asks for less than people want."""
    names = ", ".join(f"`{key}`" for key in keys[:10]) + (f" and {len(keys) - 10} more" if len(keys) > 10 else "")
    what = f"replica {names} fits" if len(keys) == 1 else f"replicas {names} fit"
    return Diagnostic(
        "no-placement", f"{what} on no host", where, evidence=_evidence(refusals), hint=_hint(refusals, _tried(fits))
    )


def _tried(fits: Sequence[tuple[str, str]]) -> str:
    """Whatever asks for less alone is no advice."""
    shown = [f"{change}{f' ({host} takes it then)' if host else ''}" for change, host in fits[:MOST_SHOWN]]
    return (
        ", or ".join(shown if any(host for _, host in fits) else ["free a GPU, or add a host", *shown]) if fits else ""
    )


def _evidence(refusals: Mapping[str, str]) -> tuple[str, ...]:
    names = {name: why for name, why in sorted(refusals.items())}
    if len(refusals) > SHOWN_ONE_BY_ONE:
        by_reason: dict[str, list[str]] = {}
        for name, why in names.items():
            by_reason.setdefault(HOLDERS.sub("", why), []).append(name)
        names = {_together(hosts): why for why, hosts in by_reason.items()}
    width = max(map(len, names), default=0)
    lines = [f"{name:{width}}  {why}" for name, why in names.items()]
    left = len(lines) - MOST_LINES
    return tuple(lines) if left <= 0 else (*lines[:MOST_LINES], f"... and {left} more")


def _together(hosts: list[str]) -> str:
    return hosts[0] if len(hosts) == 1 else f"{hosts[0]} and {len(hosts) - 1} more"


def _hint(refusals: Mapping[str, str], tried: str) -> str:
    """`tried`: what was found to help, which is no help against what is broken."""
    reasons = " ".join(refusals.values())
    if not refusals:
        return "add a host to `hosts`"
    leftover = LEFTOVER.search(reasons)
    if leftover is not None:
        # moby: a daemon killed in the middle of a start keeps the port of what it never started until it is restarted
        kill = f"`kill {leftover[1]}` on the host as root"
        return f"its container is gone: {kill}, and restart Docker if it is the one that started it, then plan again"
    if "port " in reasons:
        return f"stop what holds the port, choose another `port`, or {tried or 'add a host'}"
    if "not there" in reasons or "not on host" in reasons:
        return "put the model on the hosts, or correct its `source`"
    if "GiB of it are left where" in reasons:
        return f"lower `gpu_memory` or `gpu_memory_fraction` of those that share, or {tried or 'add a host'}"
    if "`reserve.memory`" in reasons:
        return f"{tried or 'add a host'}, or lower `reserve.memory`"
    if "are not known" in reasons:
        return "see why the model's source does not answer, or write deploy.lock with `deployer lock` once it does"
    return tried or ("free a GPU, or add a host" if "GPU" in reasons else "change `placement`, or add a host")
