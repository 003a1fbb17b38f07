"""A container's log as lines, as they come: demultiplexed, redacted, without control characters."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterable, Iterator
from urllib.parse import urlencode

from deployer.dataclass import dataclass
from deployer.docker.calls import Refusal, broken_by
from deployer.engine.redaction import Redactor
from deployer.engine.streams import Ended, Pieces, engine_stream
from deployer.errors import Diagnostic, HostError
from deployer.transport.base import Transport

FRAME_HEADER = 8  # stream, three zeros, length (Docker Engine API, "Attach to a container", stream format)
LONGEST_LINE = 1 << 16
LARGEST_FRAME = 1 << 20
PATIENCE = 1.0  # seconds between looks at whether the reader is still there
MOST_HELD = 2 << 20  # bytes of a log's end that are held at once
MOST_OF_A_LINE = 2000  # characters


@dataclass(frozen=True, slots=True)
class LogRequest:
    """`since`: Unix time by the host's clock. `tail` None: all of it."""

    container: str  # id
    follow: bool = False
    tail: int | None = None
    since: int | None = None


def container_lines(transport: Transport, request: LogRequest, redactor: Redactor) -> Iterator[str]:
    """Ends with the log, or when the reader closes it. HostError `log-broken` when the connection breaks first."""
    path = f"/containers/{request.container}/logs?{urlencode(_query(request))}"
    try:
        with engine_stream(transport, "GET", path, {}, read_frame) as pieces:
            for line in _lines(_content(transport.name, pieces)):
                yield redactor.line(line, LONGEST_LINE)
    except Refusal as refusal:
        raise _broken(transport.name, redactor.line(refusal.text)) from None
    except (OSError, http.client.HTTPException) as error:
        raise _broken(transport.name, broken_by(error)) from None


def lines_by_now(transport: Transport, request: LogRequest, redactor: Redactor, seconds: float) -> tuple[str, ...]:
    """The end of what was logged so far, without blank lines; what came within `seconds` where the host is slow, and ()
    where it keeps nothing that can be read."""
    path, held = f"/containers/{request.container}/logs?{urlencode(_query(request))}", bytearray()
    deadline = time.monotonic() + seconds
    try:
        with engine_stream(transport, "GET", path, {}, read_frame) as pieces:
            while time.monotonic() < deadline:
                held += pieces.next(PATIENCE) or b""
                del held[:-MOST_HELD]
    except (Refusal, Ended, OSError, http.client.HTTPException):
        pass
    masked = redactor.redact(held.decode("utf-8", "replace"))
    return tuple(line for raw in masked.splitlines() if (line := redactor.line(raw, MOST_OF_A_LINE)))


def _query(request: LogRequest) -> dict[str, str | int]:
    query: dict[str, str | int] = {"stdout": 1, "stderr": 1, "follow": int(request.follow)}
    query["tail"] = "all" if request.tail is None else request.tail
    if request.since is not None:
        query["since"] = request.since
    return query


def _content(host: str, pieces: Pieces) -> Iterator[bytes]:
    """What the container wrote; b"" now and then, so that whoever reads can leave."""
    while True:
        try:
            yield pieces.next(PATIENCE) or b""
        except Ended as ended:
            if ended.error is not None:
                raise _broken(host, broken_by(ended.error)) from None
            return


def _lines(content: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in content:
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
        if len(rest) > LONGEST_LINE:
            yield rest
            rest = b""
    if rest:
        yield rest


def _broken(host: str, cause: str) -> HostError:
    return HostError(Diagnostic("log-broken", f"host `{host}`: the log ended: {cause}", hint="ask again", host=host))


def read_frame(response: http.client.HTTPResponse) -> bytes:
    """The next frame's content, b"" at the end. Containers of ours have no TTY, so that every log is framed."""
    while len(header := response.read(FRAME_HEADER)) == FRAME_HEADER:
        size = int.from_bytes(header[4:], "big")
        if size > LARGEST_FRAME:
            raise ValueError("the log is not in frames")
        if content := response.read(size):
            return content
    return b""
