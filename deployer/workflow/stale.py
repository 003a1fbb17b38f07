"""Saved plans that do not hold any more: where a host moved in what the plan's decisions used, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deployer.errors import Diagnostic, RefusedError

if TYPE_CHECKING:
    from deployer.values.plan import HostUse, Plan
    from deployer.workflow.session import Planned


def refuse_stale(saved: Plan, again: Planned) -> None:
    """RefusedError `stale-plan` where a host moved in what the plan's decisions used, naming host and thing."""
    from deployer.planning.claims import foreign_claims

    moved: list[str] = []
    for name, use in sorted(saved.hosts.items()):
        now = again.plan.hosts.get(name)
        if now is None or now.digest != use.digest:
            facts = again.observed.reachable.get(name)
            holders = foreign_claims(facts).holders if facts is not None else {}
            moved += [
                f"{name}: {thing}" for thing in _moved(use, now, {(k, n): who for (_, k, n), who in holders.items()})
            ]
    if moved:
        raise RefusedError(
            Diagnostic(
                "stale-plan",
                "the hosts moved since the plan was saved, so nothing was done",
                evidence=tuple(moved[:20]),
                hint="make a new plan with `deployer plan -o FILE`",
            )
        )


def _moved(before: HostUse, now: HostUse | None, holders: Mapping[tuple[str, str], str]) -> list[str]:
    """`holders`: who has a GPU or a port now, of those that are not the project's."""
    if now is None or now.unreachable is not None:
        return [f"cannot be reached now ({now.unreachable if now else 'not in the spec'})"]
    found = []
    for kind in sorted({*before.used, *now.used}):
        old, new = before.used.get(kind, {}), now.used.get(kind, {})
        for name in sorted({*old, *new}):
            if old.get(name) == new.get(name):
                continue
            was, became = _shown(old.get(name), new.get(name)), _shown(new.get(name), old.get(name))
            holder = holders.get(({"gpus": "gpu", "ports": "port/tcp"}.get(kind, ""), name))
            found.append(f"{kind} {name}: {was} -> {holder if holder and name not in new else became}")
    return found or ["it can be reached now"]


def _shown(value: Any, other: Any) -> str:
    """Of a container its status, or what else is not as in the other."""
    if value is None:
        return "nothing"
    if not isinstance(value, dict):
        return str(value)
    odd = {k: v for k, v in value.items() if not isinstance(other, dict) or other.get(k) != v}
    if "status" in odd or not odd:
        return str(value.get("status", value))
    return ", ".join(f"{key} {str(said)[:12]}" for key, said in sorted(odd.items()))
