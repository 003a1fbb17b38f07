"""Caches of weights as they are on the project's hosts, with who uses them. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from deployer.dataclass import dataclass, replace
from deployer.engine.caches import cache_users
from deployer.engine.copies import find_copies
from deployer.errors import Diagnostic, HostError, OperationError, warning
from deployer.planning.cached import cache_of
from deployer.planning.caches import judge_cache, judge_copies, seen_from
from deployer.planning.presence import hosts_to_ask
from deployer.planning.presynced import places_asked
from deployer.planning.shared_caches import shared_copy
from deployer.values.cache import CacheContents, CacheUser, HostCache
from deployer.values.facts import Disk
from deployer.values.presynced import Copy
from deployer.weights.inventory import read_contents

if TYPE_CHECKING:
    from deployer.spec.language import DeploySpec
    from deployer.transport.base import Transport
    from deployer.workflow.session import Session


@dataclass(frozen=True, slots=True)
class _Seen:
    """Of one host. `users`: None where nobody knows."""

    contents: CacheContents
    users: tuple[CacheUser, ...] | None
    copies: tuple[Copy, ...]
    disks: tuple[Disk, ...]

    @property
    def shared(self) -> str:
        return self.contents.shared

    def users_of(self, cache_dir: str) -> tuple[CacheUser, ...]:
        """As that folder's, which is this one's cache on another host."""
        return tuple(seen_from(cache_dir, self.contents.cache_dir, user) for user in self.users or ())


def look(session: Session, hosts: Iterable[str] = ()) -> tuple[HostCache, ...]:
    """The cache of every host, or of those named; one that cannot be looked at says why. Where one is on a file server,
    all hosts are asked who uses it."""
    names = chosen_hosts(session, hosts)
    seen = _looked_at(session, names)
    if any(one.shared for one in seen.values() if isinstance(one, _Seen)):
        seen |= _looked_at(session, [name for name in hosts_to_ask(session.project.spec) if name not in seen])
    return tuple(_judged(session.project.spec, name, seen) for name in names)


def _looked_at(session: Session, names: list[str]) -> dict[str, _Seen | HostError]:
    spec = session.project.spec

    def read(transport: Transport) -> _Seen:
        host = spec.hosts[transport.name]
        contents, users = read_contents(transport, cache_of(host)), cache_users(transport)
        places = places_asked(host, spec.models.values())
        return _Seen(contents, users, *find_copies(transport, places, host.model_dirs))

    return session.fleet.map(names, read)


def _judged(spec: DeploySpec, name: str, seen: Mapping[str, _Seen | HostError]) -> HostCache:
    """With the containers of all hosts that have the same folder."""
    mine = seen[name]
    if isinstance(mine, HostError):
        return HostCache(name, cache_of(spec.hosts[name]), problem=mine.diagnostic)
    with_me = {n: s for n, s in seen.items() if isinstance(s, _Seen) and (n == name or mine.shared == s.shared != "")}
    here = mine.contents.cache_dir
    users = (*(mine.users or ()), *(user for n, one in with_me.items() if n != name for user in one.users_of(here)))
    known = {n for n, s in seen.items() if isinstance(s, _Seen) and s.users is not None}
    others = tuple(sorted({*with_me} - {name}))
    may_use = {n for n, host in spec.hosts.items() if host.state != "lost"} if mine.shared else {name}
    found = replace(judge_cache(name, mine.contents, users), others=others, unseen=tuple(sorted(may_use - known)))
    copies = judge_copies(spec, name, mine.copies, mine.users or ())
    found = replace(found, copies=tuple(replace(c, shared=shared_copy(c.copy.folder, mine.disks)) for c in copies))
    if not mine.contents.unread:
        return found
    message = f"{len(mine.contents.unread)} manifests of the cache on host `{name}` cannot be read"
    return replace(found, problem=warning("bad-manifest", message, hint="apply again writes them anew"))


def chosen_hosts(session: Session, named: Iterable[str]) -> list[str]:
    asked = [*hosts_to_ask(session.project.spec)]
    unknown = [name for name in named if name not in asked]
    if unknown:
        hint = "there are " + ", ".join(f"`{name}`" for name in asked[:20])
        raise OperationError(Diagnostic("unknown-host", f"`{unknown[0]}` is no host that can be asked", hint=hint))
    return [name for name in asked if not named or name in named]
