"""Calls of the Docker SDK with its failures as values of ours. Knows no texts (see `failures`)."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager

from deployer.errors import DeployerError, Diagnostic, DockerError


class Refusal(Exception):
    """The engine answered, and refused: HTTP status and its words, which are not yet fit to be shown."""

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text
        super().__init__(f"HTTP {status}")


@contextmanager
def engine_calls(host: str) -> Iterator[None]:
    """Raises Refusal for what the engine refuses, DockerError `engine-lost` when it gives no answer."""
    import requests
    from docker import errors

    try:
        yield
    except errors.APIError as error:
        raise Refusal(error.status_code or 500, _words(error.explanation or error)) from None
    except requests.exceptions.Timeout:
        raise engine_lost(host, "no answer in time") from None
    except (requests.exceptions.RequestException, errors.DockerException) as error:
        raise engine_lost(host, _cause(error)) from None


def engine_lost(host: str, cause: str) -> DockerError:
    return DockerError(
        Diagnostic(
            "engine-lost",
            f"host `{host}`: Docker gave no answer: {cause}",
            host=host,
            hint="check `systemctl status docker` on the host, then apply again",
        )
    )


def _words(explanation: object) -> str:
    return explanation.decode("utf-8", "replace") if isinstance(explanation, bytes) else str(explanation)


def _cause(error: BaseException) -> str:
    """The innermost cause: the SDK's exceptions are a nest of wrapped ones."""
    while (inner := next((a for a in error.args if isinstance(a, BaseException)), None)) is not None:
        error = inner
    return broken_by(error)


def broken_by(error: BaseException) -> str:
    """Why an exchange with the engine broke off, in a few words."""
    match error:
        case DeployerError():
            return error.diagnostics[0].message
        case TimeoutError():
            return "no answer in time"
        case ConnectionError() | EOFError() | http.client.HTTPException():
            return "the connection was closed"
        case _:
            return type(error).__name__
