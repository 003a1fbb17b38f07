"""A program run in a container that serves: its output as lines, as they come, and its exit code. Sends no input."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Sequence
from typing import Any

from deployer.dataclass import dataclass
from deployer.docker.calls import Refusal, broken_by, engine_calls
from deployer.engine.logs import FRAME_HEADER, LARGEST_FRAME, LONGEST_LINE, PATIENCE
from deployer.engine.redaction import Redactor
from deployer.engine.streams import Ended, Pieces, engine_stream
from deployer.errors import Diagnostic, HostError, OperationError
from deployer.transport.base import Transport

ERRORS = 2  # the stream's number in a frame's header (Docker Engine API, "Attach to a container", stream format)


@dataclass(frozen=True, slots=True)
class Said:
    """A line on stdout or stderr; the last one is the exit code alone."""

    text: str = ""
    is_error: bool = False
    exit_code: int | None = None


def run_in(transport: Transport, container: str, argv: Sequence[str], redactor: Redactor) -> Iterator[Said]:
    """`container`: an id. HostError where the connection breaks: the program may go on then."""
    host = transport.name
    try:
        with engine_calls(host):
            id_ = str(transport.docker().exec_create(container, list(argv), stdout=True, stderr=True)["Id"])
        body = json.dumps({"Detach": False, "Tty": False}).encode()
        headers = {"Content-Type": "application/json"}
        with engine_stream(transport, "POST", f"/exec/{id_}/start", headers, _read_frame, body) as pieces:
            for is_error, line in _lines(host, pieces):
                yield Said(redactor.line(line, LONGEST_LINE), is_error)
        with engine_calls(host):
            state: Any = transport.docker().exec_inspect(id_)
    except Refusal as refusal:
        message = f"host `{host}`: Docker runs nothing in the container: {redactor.line(refusal.text)}"
        raise OperationError(
            Diagnostic("not-run", message, hint="`deployer status` tells what runs", host=host)
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise _broken(host, broken_by(error)) from None
    yield Said(exit_code=int(state.get("ExitCode") or 0))


def _read_frame(response: http.client.HTTPResponse) -> bytes:
    """The stream's number and what came on it; b"" at the end."""
    while len(header := response.read(FRAME_HEADER)) == FRAME_HEADER:
        size = int.from_bytes(header[4:], "big")
        if size > LARGEST_FRAME:
            raise ValueError("the output is not in frames")
        if content := response.read(size):
            return header[:1] + content
    return b""


def _lines(host: str, pieces: Pieces) -> Iterator[tuple[bool, bytes]]:
    rest = {False: b"", True: b""}
    while (frame := _next(host, pieces)) is not None:
        is_error = frame[0] == ERRORS
        *whole, left = (rest[is_error] + frame[1:]).split(b"\n")
        if len(left) > LONGEST_LINE:
            whole, left = [*whole, left], b""
        rest[is_error] = left
        yield from ((is_error, line) for line in whole)
    yield from ((is_error, left) for is_error, left in rest.items() if left)


def _next(host: str, pieces: Pieces) -> bytes | None:
    """None at the end."""
    while True:
        try:
            if frame := pieces.next(PATIENCE):
                return frame
        except Ended as ended:
            if ended.error is not None:
                raise _broken(host, broken_by(ended.error)) from None
            return None


def _broken(host: str, cause: str) -> HostError:
    hint = "the program may go on in the container"
    return HostError(Diagnostic("exec-broken", f"host `{host}`: its output ended: {cause}", hint=hint, host=host))
