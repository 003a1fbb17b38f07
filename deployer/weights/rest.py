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
from deployer.weights.access import TIMEOUT, Access, failure, unreachable
from deployer.weights.authorities import trusting
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


def opener(ca: str | None = None) -> urllib.request.OpenerDirector:
    """Follows redirects with the care that a token needs. `ca`: certificates that are believed too."""
    secure = [urllib.request.HTTPSHandler(context=trusting(ca))] if ca is not None else []
    return urllib.request.build_opener(_SameHostOnly(), *secure)


def ask(
    url: str, access: Access | None = None, *, headers: Mapping[str, str] | None = None, most: int = MOST
) -> Answer:
    """Any status is an answer. `access`: of the hub whose URL it is. OperationError `hub-unreachable` where none
    comes."""
    return _asked(urllib.request.Request(url, headers={**(headers or {})}), access or Access(url), most)


def ask_about(url: str) -> Answer:
    """As `ask`, for the headers alone."""
    return _asked(urllib.request.Request(url, method="HEAD"), Access(url), 0)


def _asked(request: urllib.request.Request, access: Access, most: int) -> Answer:
    url = request.full_url
    for name, value in {"User-Agent": "deployer", **access.headers}.items():
        request.add_header(name, value)
    try:
        answer = within(LONGEST, partial(_answered, request, access.ca, most))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, {}, b"", url)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise unreachable(url, urlsplit(url).netloc, getattr(error, "reason", error), access.hub) from None
    if len(answer.body) > most:
        raise failure("bad-listing", f"the answer of {urlsplit(url).netloc} is longer than {most} bytes")
    return answer


def _answered(request: urllib.request.Request, ca: str | None, most: int) -> Answer:
    """With one byte more than that where it goes on."""
    with opener(ca).open(request, timeout=TIMEOUT) as response:
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
