"""The leases of one apply on all its hosts: taken in name order, kept alive while it runs, given back at its end."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType

from deployer.dataclass import dataclass
from deployer.engine.context import Transports
from deployer.engine.fanout import Crew, on_each
from deployer.engine.guard import lock_lost
from deployer.engine.lock import LEASE, LINGERING, Held, Holder, HostLock
from deployer.engine.parting import Parting, part
from deployer.errors import DeployerError, Diagnostic, RefusedError
from deployer.values.events import Note
from deployer.values.names import STATE_DIR

RENEW_EVERY = 15.0  # seconds
ASK_EVERY, SAY_EVERY = 2.0, 10.0  # seconds, while somebody else holds it
SEEN_DEAD_AFTER = LEASE + 10.0  # seconds without a change, by our clock, after which no clock of theirs counts


def boot_clock() -> float:
    """Seconds that go on while a laptop sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True, slots=True)
class LockWait:
    """How long to wait for others, and how: `pause` may raise to give up."""

    seconds: float = 0.0
    report: Callable[[Note], object] = lambda note: None
    pause: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = boot_clock


class Leases:
    """Locks on hosts, renewed by a thread until `release`. `fence` is for `ApplyContext.fence`."""

    def __init__(self, transports: Transports, holder: Holder, wait: LockWait, state_dir: str = STATE_DIR) -> None:
        self._transports, self._holder, self._wait, self._state_dir = transports, holder, wait, state_dir
        self._renewed: dict[str, float] = {}  # host -> when
        self._lost: dict[str, str] = {}  # host -> why
        self._renewing: set[str] = set()
        self._crew = Crew("lease")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="leases", daemon=True)

    def fence(self, host: str) -> None:
        """OperationError `lock-lost` unless the host's lock is ours at this moment. A lease that grew too old while
        the host was out of reach, and that nobody took over, is renewed first; HostError while it still is."""
        if host in self._renewed and host not in self._lost and self._age(host) > LEASE:
            self._renew(host)
        if host in self._lost or self._age(host) > LEASE:
            raise lock_lost(host, self._lost.get(host) or "it could not be renewed in time")

    def _age(self, host: str) -> float:
        return self._wait.clock() - self._renewed.get(host, float("-inf"))

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(sorted(self._renewed))

    def __enter__(self) -> Leases:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self, before: Mapping[str, Sequence[Parting]] | None = None) -> tuple[Diagnostic, ...]:
        """Gives all locks back, on each host after the commands that are `before` it; warnings where one failed: a lock
        that is left ends by itself."""
        self._done.set()
        ended = part(
            self._transports, {host: [*(before or {}).get(host, ()), self._lock(host).parting()] for host in self.hosts}
        )
        self._renewed.clear()
        return ended

    def forget(self) -> None:
        """Keeps nothing alive any more and leaves what is there: such a lock ends by itself."""
        self._done.set()
        self._renewed.clear()

    # --- taking ----------------------------------------------------------------------

    def take_all(self, hosts: Iterable[str]) -> None:
        """As if one after the other in name order, so that two applies never wait for each other; the first alone,
        the others at once."""
        names = sorted(set(hosts))
        self._thread.start()
        try:
            for name in names[:1]:
                self._take(name)
            tried = on_each(names[1:], self._try)
            for error in (e for e in tried.values() if isinstance(e, DeployerError)):
                raise error
            taken_by_others = [name for name, held in tried.items() if held is not None]
            if taken_by_others:
                later = [name for name in names if name >= taken_by_others[0]]
                on_each((name for name in later if name in self._renewed), self._give_back)
                for name in later:
                    self._take(name)
        except BaseException:
            self.release()
            raise

    def _lock(self, host: str) -> HostLock:
        return HostLock(self._transports[host], self._holder, self._state_dir)

    def _try(self, host: str, stale: Held | None = None) -> Held | None:
        """None when it is ours; a lease that has run out is taken over."""
        asked = self._wait.clock()
        held = self._lock(host).take(stale)
        if held is not None and stale is None and held.remains <= 0:
            held = self._lock(host).take(held)
        if held is None:
            self._renewed[host] = asked
        return held

    def _give_back(self, host: str) -> None:
        del self._renewed[host]
        self._lock(host).release()

    def _take(self, host: str) -> None:
        wait = self._wait
        began = changed = wait.clock()
        said: float | None = None
        held = self._try(host)
        seen = held or LINGERING
        while held is not None:
            now = wait.clock()
            if now - began >= wait.seconds:
                raise RefusedError(locked(self._holder.project, host, held))
            if said is None or now - said >= SAY_EVERY:
                said = now
                wait.report(Note(_waiting(held), host))
            wait.pause(min(ASK_EVERY, wait.seconds))
            dead = wait.clock() - changed > SEEN_DEAD_AFTER
            held = self._try(host, seen if dead else None)
            if held is not None and held is not LINGERING and held.checksum != seen.checksum:
                changed, seen = wait.clock(), held

    # --- keeping ---------------------------------------------------------------------

    def _keep(self) -> None:
        while not self._done.wait(RENEW_EVERY):
            self.renew_all()

    def renew_all(self) -> None:
        """Begins to, each host by itself: one that hangs must not cost the others their leases."""
        for host in tuple(self._renewed):
            if host not in self._lost and host not in self._renewing:
                self._renewing.add(host)
                self._crew.add(partial(self._renew_beside, host))

    def _renew_beside(self, host: str) -> None:
        """A host that cannot be reached now is asked again the next time; `fence` knows how old its lease is."""
        try:
            with contextlib.suppress(DeployerError):
                self._renew(host)
        finally:
            self._renewing.discard(host)

    def _renew(self, host: str) -> None:
        asked = self._wait.clock()
        if self._done.is_set():
            return
        is_ours = self._lock(host).renew()
        if not is_ours:
            self._lost[host] = "another apply took it over"
        elif host in self._renewed:
            self._renewed[host] = asked


def acquire(transports: Transports, hosts: Iterable[str], holder: Holder, wait: LockWait | None = None) -> Leases:
    """All hosts' locks or none. RefusedError `locked` names who holds one; HostError where a host cannot be locked."""
    leases = Leases(transports, holder, wait or LockWait())
    leases.take_all(hosts)
    return leases


def _waiting(held: Held) -> str:
    if held is LINGERING:
        return f"waiting for {held.who}"
    return f"waiting for the lock of {held.who}, since {held.since or 'unknown'}"


def locked(project: str, host: str, held: Held) -> Diagnostic:
    since = f" since {held.since}" if held.since else ""
    return Diagnostic(
        "locked",
        f"project `{project}` is locked on host `{host}` by {held.who}{since}",
        evidence=() if held is LINGERING else (f"its lease ends in {held.remains:.0f} s unless it is renewed",),
        hint="wait for that apply to end, for example with `--lock-wait 300`",
        host=host,
    )
