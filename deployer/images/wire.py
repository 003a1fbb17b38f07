"""One registry over HTTP: requests with login, redirects without it, every answer bounded in size and time.

Knows no image. What a registry answers is hostile.
"""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from deployer.formats.text import one_line
from deployer.images.access import Access
from deployer.images.challenge import Challenge, may_be_told, parse_challenge, token_url
from deployer.images.refusals import cause_of, denied, refused, unusable
from deployer.values.codec import parse_json

if TYPE_CHECKING:
    import requests


CONNECT, SILENCE = 10.0, 30.0  # seconds
LONGEST = 60.0  # seconds of an answer that is read as a whole
REDIRECTS = 5
MOST_TOKEN = 1 << 20
PIECE = 1 << 18


class Wire:
    """Safe for one thread at a time."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._session: requests.Session | None = None
        self._login: dict[str, str] = {}  # by repository, the header that was asked for

    def whole(self, path: str, repository: str, accept: str, most: int) -> tuple[bytes, Mapping[str, str]]:
        """A small answer and its headers, names in small letters. OperationError for any status but 200."""
        with self._answered(path, repository, {"Accept": accept}) as answer:
            if answer.status_code != 200:
                raise refused(self.access, answer.status_code, path)
            return self._read(answer, most), {k.lower(): v for k, v in answer.headers.items()}

    @contextmanager
    def stream(self, path: str, repository: str, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Where the pieces begin (0 where the registry knows no ranges), and the pieces. OSError where they break off;
        OperationError where there are none."""
        import requests
        import urllib3

        headers = {"Range": f"bytes={start}-"} if start else {}
        with self._answered(path, repository, headers | {"Accept-Encoding": "identity"}) as answer:
            if answer.status_code not in (200, 206):
                raise refused(self.access, answer.status_code, path)

            def pieces() -> Iterator[bytes]:
                read = getattr(answer.raw, "read1", answer.raw.read)  # `read` drops what came before a break
                try:
                    while piece := read(PIECE):
                        yield piece
                except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                    raise ConnectionError(cause_of(error)) from None

            yield (start if answer.status_code == 206 else 0), pieces()

    def close(self) -> None:
        if self._session is not None:
            self._session.close()

    # --- asking

    @contextmanager
    def _answered(self, path: str, repository: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
        """The answer after a login where one is wanted, wherever redirects lead."""
        url = f"{self.access.endpoint}{path}"
        answer = self._get(url, {**headers, **self._authorization(repository)})
        if answer.status_code == 401:
            answer.close()
            if self._log_in(answer.headers.get("WWW-Authenticate", ""), repository):
                answer = self._get(url, {**headers, **self._authorization(repository)})
        with closing(self._followed(answer, url, headers)) as last:
            yield last

    def _followed(self, answer: requests.Response, url: str, headers: Mapping[str, str]) -> requests.Response:
        """Redirects, as to where blobs are kept: without the login, and never from TLS to none."""
        for _ in range(REDIRECTS):
            target = answer.headers.get("Location")
            if answer.status_code not in (301, 302, 303, 307, 308) or not target:
                return answer
            answer.close()
            following = urljoin(url, target)
            if urlsplit(following).scheme != "https" and urlsplit(url).scheme == "https":
                raise unusable(self.access, "registry-failed", "it leads from https to something else")
            url = following
            answer = self._get(url, headers)
        answer.close()
        raise unusable(self.access, "registry-failed", f"it leads on and on, more than {REDIRECTS} times")

    def _get(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        import requests

        try:
            sent = {"User-Agent": "deployer", **headers}
            return self._http().get(url, headers=sent, **self._manner())
        except requests.exceptions.SSLError as error:
            hint = f"name its CA with `registries: {{{self.access.registry}: {{ca: FILE}}}}`"
            raise unusable(self.access, "registry-certificate", cause_of(error), hint) from None
        except (requests.RequestException, OSError, ValueError) as error:
            raise unusable(self.access, "registry-unreachable", cause_of(error)) from None

    def _manner(self) -> dict[str, Any]:
        """Of every request. A CA that only the session knew would yield to REQUESTS_CA_BUNDLE."""
        return {
            "timeout": (CONNECT, SILENCE),
            "stream": True,
            "allow_redirects": False,
            "verify": self.access.ca,
        }

    def _http(self) -> requests.Session:
        if self._session is None:
            import requests

            self._session = requests.Session()
            self._session.auth = lambda request: request  # none of ~/.netrc
            if self.access.ca is not None:  # beside the system's, as Docker takes it: blobs may be elsewhere
                adapter = requests.adapters.HTTPAdapter()
                adapter.init_poolmanager(
                    requests.adapters.DEFAULT_POOLSIZE,
                    requests.adapters.DEFAULT_POOLSIZE,
                    ssl_context=ssl.create_default_context(),
                )
                self._session.mount("https://", adapter)
        return self._session

    # --- login

    def _authorization(self, repository: str) -> dict[str, str]:
        found = self._login.get(repository)
        return {"Authorization": found} if found else {}

    def _log_in(self, wanted: str, repository: str) -> bool:
        """Whether there is something to ask again with: a token that ended while layers came is asked for anew."""
        challenge = parse_challenge(wanted)
        if challenge is None or (challenge.scheme == "basic" and repository in self._login):
            return False
        if challenge.scheme == "basic":
            basic = self._basic()
            self._login[repository] = basic or ""
            return basic is not None
        self._login[repository] = f"Bearer {self._token(challenge, repository)}"
        return True

    def _basic(self) -> str | None:
        access = self.access
        if access.username is None or access.password is None or access.identity:
            return None
        return "Basic " + base64.b64encode(f"{access.username}:{access.password.reveal()}".encode()).decode()

    def _token(self, challenge: Challenge, repository: str) -> str:
        if not may_be_told(challenge, self.access):
            raise unusable(
                self.access, "registry-failed", f"it wants logins at `{one_line(challenge.realm, 100)}`, without TLS"
            )
        url = token_url(challenge, repository)
        if self.access.identity and self.access.password is not None:
            with closing(self._exchange(challenge, repository)) as answer:
                return self._token_in(answer)
        basic = self._basic()
        with closing(self._get(url, {"Authorization": basic} if basic else {})) as answer:
            return self._token_in(answer)

    def _exchange(self, challenge: Challenge, repository: str) -> requests.Response:
        """OAuth2 with the identity token that `docker login` was given."""
        import requests

        assert self.access.password is not None
        form = {
            "grant_type": "refresh_token",
            "client_id": "deployer",
            "service": challenge.service,
            "scope": f"repository:{repository}:pull",
            "refresh_token": self.access.password.reveal(),
        }
        try:
            return self._http().post(challenge.realm, data=form, **self._manner())
        except (requests.RequestException, OSError, ValueError) as error:
            raise unusable(self.access, "registry-unreachable", cause_of(error)) from None

    def _token_in(self, answer: requests.Response) -> str:
        if answer.status_code in (400, 401, 403):
            raise denied(self.access, answer.status_code)
        try:
            said = parse_json(self._read(answer, MOST_TOKEN), MOST_TOKEN) if answer.status_code == 200 else None
        except ValueError:
            said = None
        token = (said.get("token") or said.get("access_token")) if isinstance(said, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise unusable(self.access, "registry-failed", f"it gives no token, status {answer.status_code}")
        return token

    # --- answers

    def _read(self, answer: Any, most: int) -> bytes:
        import requests
        import urllib3

        data, deadline = bytearray(), time.monotonic() + LONGEST
        try:
            for piece in answer.iter_content(PIECE):
                data += piece
                if len(data) > most:
                    raise unusable(self.access, "image-unreadable", f"an answer is longer than {most} bytes")
                if time.monotonic() > deadline:
                    raise unusable(self.access, "registry-unreachable", f"an answer takes longer than {LONGEST:g} s")
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise unusable(self.access, "registry-unreachable", cause_of(error)) from None
        return bytes(data)
