"""The lease of one project on one host: taken, renewed and released by one atomic script there.

Nobody's lease is for ever: it ends when it says so by the host's uptime, which no clock that is set moves, and of a
time before the host's last start it counts for one lease from that start. Whatever else stands in its place (garbage, a
directory, a lock of an earlier version) counts for as long as one lease after it was last touched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Literal

from deployer.dataclass import dataclass
from deployer.engine.parting import Parting
from deployer.engine.redaction import clean
from deployer.errors import Diagnostic, HostError, Severity
from deployer.transport.base import Completed, Transport
from deployer.values.names import STATE_DIR
from deployer.values.records import LONGEST_LEASE

LEASE = 60  # seconds
RUN_TIMEOUT = 30.0
MAX_LOCK = 4096
ANSWERS = (b"taken", b"released", b"lost", b"held", b"free")
Verb = Literal["take", "renew", "release", "look", "seize"]


@dataclass(frozen=True, slots=True)
class Holder:
    """Who locks: `apply` is this apply's id (letters and digits), `who` is shown to those who wait."""

    project: str
    apply: str
    who: str


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody else's lock. `remains`: seconds until it may be taken over, by the host's uptime."""

    who: str
    since: str
    remains: float
    checksum: str


LINGERING = Held("a change that an earlier apply began and that still goes on", "", 0.0, "")


@dataclass(frozen=True, slots=True)
class HostLock:
    """The lock of `holder.project` on one host. All methods raise HostError."""

    transport: Transport
    holder: Holder
    state_dir: str = STATE_DIR

    def take(self, stale: Held | None = None) -> Held | None:
        """None when it is ours now. `stale` is the lock that may be taken over, if it is still that one; LINGERING
        while what its holder began is not at its end."""
        answer = self._run("take", stale.checksum if stale else "")
        if answer.startswith(b"busy"):
            return LINGERING
        return parse_held(answer) if answer.startswith(b"held ") else None

    def renew(self) -> bool:
        """False when it is not ours any more."""
        return not self._run("renew").startswith(b"lost")

    def release(self) -> None:
        """Gives the lock back if it is ours. Its file stays, aside: a full disk keeps no later apply out."""
        self._run("release")

    def look(self) -> Held | None:
        """Whoever holds it now, be it us; None where nobody does."""
        answer = self._run("look")
        return parse_held(answer) if answer.startswith(b"held ") else None

    def seize(self, held: Held) -> bool:
        """Takes it away from whoever holds it and leaves it free; False when it is not that lock any more."""
        return self._run("seize", held.checksum).startswith(b"released")

    def parting(self) -> Parting:
        """`release` as one of several commands; its failure is a warning: the lock ends by itself."""

        def warning(host: str, why: Diagnostic) -> Diagnostic:
            return Diagnostic(
                "lock-left",
                f"host `{host}`: the lock could not be removed; it ends by itself within {LEASE} s",
                evidence=(why.message,),
                severity=Severity.WARNING,
                host=host,
            )

        return Parting(self._argv("release"), self._answer, warning, RUN_TIMEOUT)

    def _run(self, verb: Verb, stale: str = "") -> bytes:
        done = self.transport.run(self._argv(verb, stale), timeout=RUN_TIMEOUT)
        return self._answer(self.transport, done, b"busy" if verb == "take" else b"")

    @property
    def _directory(self) -> str:
        return f"{self.state_dir}/{self.holder.project}"

    def _argv(self, verb: Verb, stale: str = "") -> list[str]:
        arguments = [verb, self._directory, self.holder.apply, json.dumps(self.holder.who), str(LEASE), stale or "-"]
        return ["sh", "-c", script(), "deployer-lock", *arguments]

    def _answer(self, transport: Transport, done: Completed, besides: bytes = b"") -> bytes:
        word = done.stdout.split(None, 1)[0] if done.stdout.strip() else b""
        if word not in ANSWERS and (not word or word != besides):
            raise _failure(transport, self._directory, word, done.stderr)
        return done.stdout


@cache
def script() -> str:
    return resources.files("deployer.engine").joinpath("lock_script.sh").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class HostTime:
    """The host's date when it was asked, when the lock was last touched, and how long the host has been up."""

    now: int
    touched: int
    up: int | None
    boot: str

    @classmethod
    def of(cls, words: Sequence[str]) -> HostTime:
        """Of what follows `held`: NOW TOUCHED CHECKSUM UP BOOT."""
        padded = (*words, *[""] * 5)
        return cls(_number(padded[0]) or 0, _number(padded[1]) or 0, _number(padded[3]), padded[4])


def parse_held(answer: bytes) -> Held:
    """Of `held NOW TOUCHED CHECKSUM UP BOOT` and the lock's own text, which anybody may have written."""
    head, _, content = answer.partition(b"\n")
    words = head.decode("ascii", "replace").split()[1:]
    found = _fields(content[:MAX_LOCK])
    checksum = words[2] if len(words) > 2 else ""
    return Held(
        found.get("holder") or "somebody", found.get("since", ""), _remains(HostTime.of(words), found), checksum
    )


def _remains(time: HostTime, found: Mapping[str, str]) -> float:
    until = _number(found.get("until", ""))
    if until is None or time.up is None or not found.get("boot"):
        return _remains_by_date(time, _epoch(found.get("expires", "")))
    if found["boot"] != time.boot:
        return max(0.0, LEASE - time.up)  # whoever lives has renewed it by then
    left = until - time.up
    return float(left) if 0 < left <= LONGEST_LEASE else 0.0  # no honest holder promises more


def _remains_by_date(time: HostTime, expires: float | None) -> float:
    if time.touched > time.now + LEASE:
        return 0.0  # no honest holder writes in the future
    ends = time.touched + LEASE if expires is None else min(expires, time.touched + LONGEST_LEASE)
    return max(0.0, ends - time.now)


def _number(text: str) -> int | None:
    return int(text) if len(text) < 16 and text.isdecimal() and text.isascii() else None


def _fields(content: bytes) -> dict[str, str]:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(data, dict):
        return {}
    return {key: clean(value)[:200] for key, value in data.items() if isinstance(value, str)}


def _epoch(text: str) -> float | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _failure(transport: Transport, directory: str, word: bytes, stderr: bytes) -> HostError:
    name = transport.name
    evidence = tuple(clean(line)[:300] for line in stderr.decode("utf-8", "replace").splitlines()[-3:])
    if b"No space left on device" in stderr or b"quota exceeded" in stderr:
        word = b"full"
    code, message, hint = {
        b"full": ("disk-full", f"no space left for the lock, in `{directory}`", f"free space under {STATE_DIR}"),
        b"no-flock": ("flock-missing", "there is no `flock` of util-linux", "install util-linux on the host"),
        b"busy": ("lock-busy", "a change that an earlier apply began there still goes on", "apply again in a moment"),
        b"no-proc": ("proc-missing", "there is no `/proc/uptime`", "mount /proc on the host"),
        b"no-write": ("lock-failed", f"`{directory}/lock` cannot be written", f"see that {STATE_DIR} can be written"),
    }.get(word, ("state-dir-denied", f"`{directory}` cannot be used", state_dir_remedy(transport)))
    return HostError(Diagnostic(code, f"host `{name}`: {message}", evidence=evidence, hint=hint, host=name))


def state_dir_remedy(transport: Transport) -> str:
    return f"run on the host: `sudo install -d -o {login_of(transport)} {STATE_DIR}`, or set `become: sudo`"


def login_of(transport: Transport) -> str:
    """The user for a command that a person shall copy."""
    user = transport.host.user or ""
    return user if user.replace("-", "").replace("_", "").isalnum() else "$USER"
