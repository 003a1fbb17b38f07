"""Pulls an image that is not on the host yet, with progress in bytes, and gives up when nothing moves any more.

A reference that is there already is kept as it is: which image a moving tag means is not decided here.
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any
from urllib.parse import urlencode

from deployer.dataclass import dataclass
from deployer.docker.calls import Refusal, broken_by, engine_lost
from deployer.docker.failures import pull_failure
from deployer.engine.context import Site, failed
from deployer.engine.ownership import inspect_image
from deployer.engine.streams import Ended, engine_stream
from deployer.errors import HostError, OperationError
from deployer.values.images import parse_image
from deployer.values.plan import PullImage

STALLED_AFTER = 300.0  # seconds without LEAST_BYTES or another word from Docker
LEAST_BYTES = 1 << 20
EVERY = 0.25  # seconds between two reports
HUB_LOGIN = "https://index.docker.io/v1/"  # the name under which Docker Hub's logins go (Docker Engine API)


def pull_image(operation: PullImage, site: Site) -> str:
    if inspect_image(site, operation.image) is not None:
        return "was there already"
    login, secret = _login(operation.registry, site)
    headers = {"X-Registry-Auth": login} if login else {}
    pull = Pull(operation, site, secret)
    try:
        with engine_stream(site.transport, "POST", _path(operation.image), headers) as pieces:
            pull.follow(pieces.next)
    except Refusal as refusal:
        raise pull.refused(_message(refusal.text).get("message") or refusal.text) from None
    except (OSError, http.client.HTTPException) as error:
        raise engine_lost(site.host, broken_by(error)) from None
    if inspect_image(site, operation.image) is None:
        if not pull.is_over:
            raise engine_lost(site.host, f"the pull of `{operation.image}` broke off")
        raise failed("pull-failed", f"Docker pulled `{operation.image}`, and has no such image", "apply again")
    return ""


def _path(image: str) -> str:
    reference = parse_image(image)
    name, tag = f"{reference.registry}/{reference.repository}", reference.digest or reference.tag or "latest"
    return "/images/create?" + urlencode({"fromImage": name, "tag": tag})


def _login(registry: str, site: Site) -> tuple[str | None, str | None]:
    """The header's value for this one request, and the name of the secret in it."""
    known = site.context.registries.get(registry)
    if known is None or known.username is None or known.password is None:
        return None, None
    secret = known.password.secret
    login = {
        "username": known.username,
        "password": site.context.secrets.value(secret, site.host).reveal(),
        "serveraddress": HUB_LOGIN if registry == "docker.io" else registry,
    }
    return base64.urlsafe_b64encode(json.dumps(login).encode()).decode(), secret


@dataclass(slots=True)
class Pull:
    """One pull while it runs. `moved`: when it last got on, and how many bytes it had then; `is_over`: Docker's last
    word, the status of the whole, was heard."""

    operation: PullImage
    site: Site
    secret: str | None
    layers: Layers = field(default_factory=lambda: Layers())
    moved: tuple[float, int] = (0.0, 0)
    said: float = 0.0
    is_over: bool = False

    def follow(self, read: Callable[[float], bytes | None]) -> None:
        """To its end. `read` is given seconds, and ends as `Pieces.next` does."""
        clock = self.site.context.clock
        self.said = clock()
        self.moved = (self.said, 0)
        while True:
            self.site.watch.pause(0)
            try:
                line = read(1.0)
            except Ended as end:
                if isinstance(end.error, HostError):
                    raise end.error from None
                if end.error is not None:
                    raise engine_lost(self.site.host, broken_by(end.error)) from None
                return
            now = clock()
            if line is not None:
                self._hear(_message(line), now)
            if now - self.moved[0] > STALLED_AFTER:
                raise self._stalled()

    def _hear(self, message: Mapping[str, Any], now: float) -> None:
        if "error" in message or "errorDetail" in message:
            raise self.refused(_error_text(message))
        self.layers.hear(message)
        self.is_over = self.is_over or str(message.get("status")).startswith("Status:")
        if message.get("status") != "Downloading" or self.layers.fetched - self.moved[1] >= LEAST_BYTES:
            self.moved = (now, self.layers.fetched)
        if now - self.said >= EVERY:
            self.said = now
            self.site.watch.progress(self.layers.done, self.layers.total, self.layers.note)

    def _stalled(self) -> OperationError:
        image, registry = self.operation.image, self.operation.registry
        message = f"the pull of `{image}` stands still: less than 1 MiB in {STALLED_AFTER / 60:g} minutes"
        hint = f"check the network between the host and `{registry}`, then apply again"
        return failed("pull-stalled", message, hint, (f"{self.layers.fetched} bytes came in all",))

    def refused(self, words: object) -> OperationError:
        clean = self.site.words(str(words))
        return OperationError(pull_failure(clean, self.operation.image, self.operation.registry, self.secret))


@dataclass(slots=True)
class Layers:
    """Sums what Docker says about the layers of one pull."""

    done_of: dict[str, int] = field(default_factory=dict)
    total_of: dict[str, int | None] = field(default_factory=dict)
    complete: set[str] = field(default_factory=set)
    last_of: dict[str, int] = field(default_factory=dict)
    fetched: int = 0  # bytes, those of layers that were begun anew too
    retrying: str = ""

    def hear(self, message: Mapping[str, Any]) -> None:
        layer, status = message.get("id"), message.get("status")
        if not isinstance(layer, str) or not isinstance(status, str) or status.startswith("Pulling from"):
            return
        if len(self.total_of) >= 1000 and layer not in self.total_of:
            return
        self.retrying = status.lower()[:40] if status.startswith("Retrying in ") else ""
        detail = message.get("progressDetail")
        detail = detail if isinstance(detail, dict) else {}
        self.total_of.setdefault(layer, None)
        if status == "Already exists":
            self.total_of[layer] = 0
            self.complete.add(layer)
        elif status == "Downloading":
            self._count(layer, detail)
        elif status in ("Download complete", "Extracting", "Pull complete"):
            self._downloaded(layer, detail)
            if status == "Pull complete":
                self.complete.add(layer)

    def _count(self, layer: str, detail: Mapping[str, Any]) -> None:
        current, total = detail.get("current"), detail.get("total")
        if isinstance(total, int) and total > 0:
            self.total_of[layer] = total
        if isinstance(current, int):
            self.fetched += max(0, current - self.last_of.get(layer, 0))
            self.last_of[layer] = current
            self.done_of[layer] = max(current, self.done_of.get(layer, 0))

    def _downloaded(self, layer: str, detail: Mapping[str, Any]) -> None:
        """Small layers are never said to be downloading; extracting then tells their size."""
        total = detail.get("total")
        if self.total_of[layer] is None:
            self.total_of[layer] = total if isinstance(total, int) else self.done_of.get(layer, 0)
        self.done_of[layer] = self.total_of[layer] or 0

    @property
    def done(self) -> int:
        return sum(self.done_of.values())

    @property
    def total(self) -> int | None:
        """None until every layer's size is known."""
        sizes = list(self.total_of.values())
        return None if not sizes or None in sizes else sum(size or 0 for size in sizes)

    @property
    def note(self) -> str:
        layers = f"{len(self.complete)} of {len(self.total_of)} layers" if self.total_of else ""
        return f"{layers}, {self.retrying}" if self.retrying else layers


def _message(text: str | bytes) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _error_text(message: Mapping[str, Any]) -> str:
    detail = message.get("errorDetail")
    text = detail.get("message") if isinstance(detail, dict) else None
    return str(text or message.get("error") or "")
