"""Who wants or has a GPU or port of a host, replica by replica, in the plan that is being made."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.planning.claims import Claim, ForeignClaims, claims_of, foreign_claims, port_claim
from deployer.planning.desired import DesiredReplica
from deployer.planning.replicas import Found
from deployer.values.names import ReplicaKey


def claims_wanted(replica: DesiredReplica) -> frozenset[Claim]:
    """What the replica holds once it runs; its port also where the host's network is used and none is published."""
    return claims_of(replica.host, replica.container) | {port_claim(replica.host, replica.placed.port)}


class Claimants:
    """Who wants or has a claim; worked out at the first question, which few plans ask."""

    def __init__(
        self, desired: Mapping[ReplicaKey, DesiredReplica], found: Mapping[ReplicaKey, tuple[Found, ...]]
    ) -> None:
        self._desired, self._found = desired, found
        self._by_claim: dict[Claim, set[ReplicaKey]] | None = None
        self._foreign: dict[str, ForeignClaims] = {}

    def is_free(self, claim: Claim, key: ReplicaKey) -> bool:
        """For this replica: nobody else has it now, or will have it."""
        wanted = self._desired.get(key)
        if wanted is not None and claim in claims_wanted(wanted):
            return True
        if self._by_claim is None:
            self._by_claim = self._collected()
        foreign = self._foreign.get(claim[0])
        taken = foreign is not None and foreign.holder(claim) is not None
        return not taken and self._by_claim.get(claim, {key}) == {key}

    def _collected(self) -> dict[Claim, set[ReplicaKey]]:
        by_claim: dict[Claim, set[ReplicaKey]] = {}
        for key, replica in self._desired.items():
            for claim in claims_wanted(replica):
                by_claim.setdefault(claim, set()).add(key)
        for key, items in self._found.items():
            for item in items:
                if item.host not in self._foreign:
                    self._foreign[item.host] = foreign_claims(item.facts)
                for claim in item.held:
                    by_claim.setdefault(claim, set()).add(key)
        return by_claim
