"""The logs of a service's containers, several at once, as lines that say whose they are."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from queue import Queue
from urllib.parse import urlencode

from deployer.docker.calls import Refusal
from deployer.engine.streams import Ended, engine_stream
from deployer.errors import DeployerError, Diagnostic, HostError
from deployer.planning.replicas import Found, found_replicas
from deployer.transport.base import Transport
from deployer.transport.fleet import Fleet
from deployer.values.facts import ObservedState

FRAME_HEADER = 8  # bytes: stream, three zeros, length (Docker Engine API, "Attach to a container", stream format)
LONGEST_LINE = 1 << 16
PATIENCE = 1.0  # seconds between looks at whether the reader is still there


@dataclass(frozen=True, slots=True)
class LogRequest:
    """`name` is a service or one replica of it; `since` in seconds before now."""

    name: str
    follow: bool = False
    tail: int | None = None
    since: float | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a replica's container, as the container wrote it; `problem` instead when the log broke off."""

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
        there = f"there are {', '.join(f'`{n}`' for n in names)}" if names else "nothing of this project runs"
        raise DeployerError(Diagnostic("no-such-replica", f"`{name}` has no container on the hosts seen; {there}"))
    return meant


def read_logs(fleet: Fleet, meant: Sequence[Found], request: LogRequest) -> Iterator[LogLine]:
    """Lines as they come; ends when every log has ended."""
    lines: Queue[LogLine | None] = Queue(maxsize=1000)

    def read(item: Found) -> None:
        try:
            for text in _lines_of(fleet[item.host], item, request):
                lines.put(LogLine(str(item.recorded.key), item.host, text))
        except HostError as error:
            lines.put(LogLine(str(item.recorded.key), item.host, "", error.diagnostic))
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


def _lines_of(transport: Transport, item: Found, request: LogRequest) -> Iterator[str]:
    path = f"/containers/{item.container.id}/logs?{urlencode(_query(item, request))}"
    try:
        with engine_stream(transport, "GET", path, {}, read_frame) as pieces:
            buffer = b""
            while True:
                try:
                    piece = pieces.next(PATIENCE)
                except Ended as ended:
                    yield from _split(buffer)
                    if ended.cause is not None:
                        raise _broken(item, ended.cause) from None
                    return
                *whole, buffer = (buffer + (piece or b"")).split(b"\n")
                for line in whole:
                    yield from _split(line)
                if len(buffer) > LONGEST_LINE:
                    yield from _split(buffer)
                    buffer = b""
    except Refusal as refusal:
        raise _broken(item, refusal.text) from None
    except (OSError, http.client.HTTPException) as error:
        raise _broken(item, type(error).__name__) from None


def _split(line: bytes) -> Iterator[str]:
    if line:
        yield line.decode("utf-8", "replace").rstrip("\r")


def _query(item: Found, request: LogRequest) -> dict[str, str | int]:
    query: dict[str, str | int] = {"stdout": 1, "stderr": 1, "follow": int(request.follow)}
    query["tail"] = "all" if request.tail is None else request.tail
    if request.since is not None:
        there = datetime.fromisoformat(item.facts.time) - timedelta(seconds=request.since)  # by the host's clock
        query["since"] = int(there.timestamp())
    return query


def _broken(item: Found, cause: str) -> HostError:
    return HostError(
        Diagnostic("log-broken", f"the log of `{item.recorded.key}` on `{item.host}` ended: {cause}", host=item.host)
    )


def read_frame(response: http.client.HTTPResponse) -> bytes:
    """The next frame's content, b"" at the end. Containers of ours have no TTY, so that every log is framed."""
    while True:
        header = response.read(FRAME_HEADER)
        if len(header) < FRAME_HEADER:
            return b""
        content = response.read(int.from_bytes(header[4:], "big"))
        if content:
            return content
