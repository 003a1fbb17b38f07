"""What applies leave on a host in writing: locks, records, holds, and what was proved. As it was read there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from deployer.dataclass import dataclass

LONGEST_LEASE = 600  # seconds that a lease of another version may promise


@dataclass(frozen=True, slots=True)
class LockFact:
    project: str
    holder: str
    since: str
    expires: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A service that was rolled back, and that an apply leaves so while the spec says of it what it said then: `inputs`
    is the digest of that. `back_to`: by replica, the container that was to be brought back. Texts are as hosts tell
    them."""

    service: str
    inputs: str
    who: str
    since: str  # RFC 3339, by the clock of who did it
    why: str
    apply: str
    back_to: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    """Which hosts a project ran on when an apply last wrote it down; `hosts`: name -> address, empty for local ones.
    `services`: by host, those that ran there; `protected`: its services that are; `completing`: containers of this host
    whose model has no chat template; `gone`: replicas that an apply took away or stopped, and which apply; `inputs`: of
    the replicas that ran on this host last, the digest of what their spec said."""

    project: str
    id: str
    apply: str
    hosts: Mapping[str, str] = field(default_factory=dict)
    protected: tuple[str, ...] = ()
    completing: tuple[str, ...] = ()
    services: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    holds: tuple[Hold, ...] = ()
    gone: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proven:
    """What answered as a replica, by the note of its host, whatever became of it since: the digest of what its spec
    said, and the apply that saw it answer."""

    project: str
    replica: str
    inputs: str
    apply: str
