"""Seen: the containers of a host, which of them answer, and what an apply may have left lying about."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from labkit.hosts import Lab

LOOK = """docker ps -aq | xargs -r docker inspect && echo --- &&
find /var/lib/deployer -name '*.new*' -o -name '*.part' -o -path '*/lab/lock'"""
Replica = tuple[str, str]  # service and number


@dataclass(frozen=True, slots=True)
class Seen:
    """A host as one look found it. `left`: half files and locks."""

    host: str
    address: str
    containers: list[dict[str, Any]]
    left: list[str]

    @classmethod
    def on(cls, lab: Lab, host: str) -> Seen:
        inspected, _, left = lab.sh(host, LOOK).rpartition("---")
        return cls(host, lab.address(host), json.loads(inspected or "[]"), left.split())

    @property
    def running(self) -> list[dict[str, Any]]:
        return [c for c in self.containers if c["State"]["Running"]]

    @property
    def serving(self) -> dict[Replica, str]:
        """The container's id of each replica that answers."""
        return {replica_of(c): c["Id"] for c in self.running if self.answers(c)}

    def answers(self, container: dict[str, Any]) -> bool:
        (bindings,) = [b for b in container["NetworkSettings"]["Ports"].values() if b]
        connection = http.client.HTTPConnection(self.address, int(bindings[0]["HostPort"]), timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def replica_of(container: dict[str, Any]) -> Replica:
    labels = container["Config"]["Labels"]
    assert "deployer.service" in labels, f"`{container['Name']}` is left behind"
    return str(labels["deployer.service"]), str(labels["deployer.replica"])
