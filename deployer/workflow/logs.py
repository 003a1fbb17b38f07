"""The logs of a service's containers, several at once, as lines that say whose they are."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from queue import Queue

from deployer.dataclass import dataclass
from deployer.engine.logs import LogRequest, container_lines
from deployer.engine.resolve import learn_secrets
from deployer.errors import DeployerError, Diagnostic, HostError
from deployer.planning.replicas import Found, found_replicas
from deployer.values.facts import ObservedState
from deployer.workflow.session import Session

AHEAD = 1000  # lines read before they are asked for


@dataclass(frozen=True, slots=True)
class Which:
    """`name` is a service or one replica of it; `since` in seconds before now."""

    name: str
    follow: bool = False
    tail: int | None = None
    since: float | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a replica's container; `problem` instead when the log broke off."""

    replica: str
    host: str
    text: str
    problem: Diagnostic | None = None


def chosen(observed: ObservedState, name: str) -> list[Found]:
    """The containers whose logs are meant: of each replica the current one. DeployerError when there is none."""
    found = found_replicas(observed)
    meant = [items[0] for key, items in found.items() if items and name in (key.service, str(key))]
    if not meant:
        names = sorted({key.service for key in found})
        there = f"there are {', '.join(f'`{n}`' for n in names)}" if names else "nothing of this project is there"
        raise DeployerError(
            Diagnostic(
                "no-such-replica",
                f"`{name}` has no container on the hosts seen; {there}",
                hint="name a service, or a replica such as `chat-0`",
            )
        )
    return meant


def read_logs(session: Session, meant: Sequence[Found], which: Which) -> Iterator[LogLine]:
    """Lines as they come, without the project's secrets; ends when every log has ended."""
    learn_secrets(session.project, session.secrets)
    lines: Queue[LogLine | None] = Queue(maxsize=AHEAD)

    def read(item: Found) -> None:
        replica, host = str(item.recorded.key), item.host
        try:
            for text in container_lines(session.fleet[host], _request(item, which), session.secrets.redactor):
                lines.put(LogLine(replica, host, text))
        except HostError as error:
            lines.put(LogLine(replica, host, "", error.diagnostic))
        finally:
            lines.put(None)

    for item in meant:
        threading.Thread(target=read, args=(item,), name=f"log {item.container.name}", daemon=True).start()
    left = len(meant)
    while left:
        line = lines.get()
        if line is None:
            left -= 1
        else:
            yield line


def _request(item: Found, which: Which) -> LogRequest:
    since = None
    if which.since is not None:  # by the host's own clock, as it was when the host was asked
        since = int((datetime.fromisoformat(item.facts.time) - timedelta(seconds=which.since)).timestamp())
    return LogRequest(item.container.id, which.follow, which.tail, since)
