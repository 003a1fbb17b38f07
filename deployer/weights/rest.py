"""Plain HTTP for sources without a library: one bounded answer at a time, on the controller."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from deployer.dataclass import dataclass
from deployer.weights.access import TIMEOUT, failure, unreachable
from deployer.weights.bounded import LONGEST, within

MOST = 32 << 20  # bytes of an answer


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # lower case
    body: bytes
    url: str  # where it came from in the end


class _SameHostOnly(urllib.request.HTTPRedirectHandler):
    """A redirect to another host does not get the token, and none goes from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise urllib.error.URLError("redirected from https to something else")
        again = super().redirect_request(req, fp, code, msg, headers, newurl)
        if again is not None and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            again.remove_header("Authorization")
        return again


def opener() -> urllib.request.OpenerDirector:
    """Follows redirects with the care that a token needs."""
    return urllib.request.build_opener(_SameHostOnly())


def ask(url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, most: int = MOST) -> Answer:
    """Any status is an answer. OperationError `hub-unreachable` where none comes."""
    request = urllib.request.Request(url, method=method, headers={"User-Agent": "deployer", **(headers or {})})
    try:
        answer = within(LONGEST, partial(_answered, request, most))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, {}, b"", url)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise unreachable(url, urlsplit(url).netloc, getattr(error, "reason", error)) from None
    if len(answer.body) > most:
        raise failure("bad-listing", f"the answer of {urlsplit(url).netloc} is longer than {most} bytes")
    return answer


def _answered(request: urllib.request.Request, most: int) -> Answer:
    """With one byte more than that where it goes on."""
    with opener().open(request, timeout=TIMEOUT) as response:
        body = response.read(most + 1) if request.get_method() != "HEAD" else b""
        found = {key.lower(): value for key, value in response.headers.items()}
        return Answer(response.status, found, body, response.url)


def parse_answer(answer: Answer, what: str) -> Any:
    """Its JSON; HTML or garbage is a diagnostic."""
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        hint = "a proxy or a login page may stand in its place; check the endpoint"
        raise failure("bad-listing", f"what {urlsplit(answer.url).netloc} says of `{what}` is no JSON", hint) from None
