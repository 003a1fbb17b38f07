"""Pulls an image that is not on the host yet, with progress in bytes, and gives up when nothing moves any more.

A reference that is there already is kept as it is: which image a moving tag means is not decided here.
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any
from urllib.parse import urlencode

from deployer.dataclass import dataclass, replace
from deployer.docker.calls import Refusal, broken_by, engine_lost
from deployer.docker.failures import pull_failure
from deployer.engine.context import Site, failed
from deployer.engine.image_names import forget_name, image_there, name_image
from deployer.engine.mirrors import pulled_as
from deployer.engine.ownership import inspect_image
from deployer.engine.pull_keeper import AFTER, Keeper
from deployer.engine.pull_layers import Layers
from deployer.engine.streams import Ended, engine_stream
from deployer.errors import HostError, OperationError
from deployer.values.images import parse_image, registry_of
from deployer.values.transfers import PullImage

STALLED_AFTER = 300.0  # seconds without LEAST_BYTES or another word from Docker
LEAST_BYTES = 1 << 20
EVERY = 0.25  # seconds between two reports
PAUSES = (2.0, 4.0, 8.0)  # seconds before a pull goes on whose registry died on the way
HUB_LOGIN = "https://index.docker.io/v1/"  # the name under which Docker Hub's logins go (Docker Engine API)


def pull_image(operation: PullImage, site: Site) -> str:
    there = image_there(site, operation.image, operation.ids)
    if there is not None:
        return _named(operation, site, there, "was there already")
    source = replace(operation, image=pulled_as(operation.image, site.context.registries))
    source = replace(source, registry=registry_of(source.image))
    _pull_patiently(source, site)
    came = inspect_image(site, _reference(source))
    if came is None:
        raise failed("pull-failed", f"Docker pulled `{operation.image}`, and has no such image", "apply again")
    there = image_there(site, operation.image, operation.ids) if operation.ids else str(came["Id"])
    if there is None:
        message = f"registry `{source.registry}` gave another image for `{operation.image}` than was asked for"
        raise failed("wrong-digest", message, "plan again; where it stays, see what `deployer lock --upgrade` shows")
    if source.image != operation.image:
        name_image(site, there, operation.image)
        forget_name(site, _reference(source))
    return _named(operation, site, there, "")


def _named(operation: PullImage, site: Site, id_: str, said: str) -> str:
    if operation.ids:
        name_image(site, id_, operation.image)
    return said


def _pull_patiently(operation: PullImage, site: Site) -> None:
    """A registry that dies on the way is waited for: Docker keeps the layers that are finished, and goes on there."""
    login, secret = _login(operation.registry, site)
    pauses: Iterator[float] = iter(())
    while True:
        headers = {"X-Registry-Auth": login} if login else {}
        pull = Pull(operation, site, secret, Keeper(site, _path(operation), headers))
        try:
            return _pull(pull, headers)
        except OperationError as error:
            if pull.layers.fetched:
                pauses = iter(PAUSES)
            pause = next(pauses, None) if error.diagnostic.code == "registry-unreachable" else None
            if pause is None:
                raise
            site.watch.progress(0, operation.size, f"{operation.registry} does not answer, trying again")
            site.watch.pause(pause)


def _pull(pull: Pull, headers: Mapping[str, str]) -> None:
    site, image = pull.site, pull.operation.image
    try:
        with pull.keeper.keeping(), engine_stream(site.transport, "POST", _path(pull.operation), headers) as pieces:
            pull.follow(pieces.next)
    except Refusal as refusal:
        raise pull.refused(_message(refusal.text).get("message") or refusal.text) from None
    except (OSError, http.client.HTTPException) as error:
        raise engine_lost(site.host, broken_by(error)) from None
    if not pull.is_over and inspect_image(site, _reference(pull.operation)) is None:
        raise engine_lost(site.host, f"the pull of `{image}` broke off")


def _path(operation: PullImage) -> str:
    reference = parse_image(operation.image)
    name = f"{reference.registry}/{reference.repository}"
    tag = operation.digest or reference.digest or reference.tag or "latest"
    return "/images/create?" + urlencode({"fromImage": name, "tag": tag})


def _reference(operation: PullImage) -> str:
    """By which Docker knows what it pulled."""
    if operation.digest is None:
        return operation.image
    reference = parse_image(operation.image)
    return f"{reference.registry}/{reference.repository}@{operation.digest}"


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
    keeper: Keeper
    layers: Layers = field(default_factory=Layers)
    moved: tuple[float, int] = (0.0, 0)
    said: float = 0.0
    is_over: bool = False

    def follow(self, read: Callable[[float], bytes | None]) -> None:
        """To its end. `read` is given seconds, and ends as `Pieces.next` does."""
        clock = self.site.context.clock
        began = self.said = clock()
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
            if now - began > AFTER:
                self.keeper.begin()

    def _hear(self, message: Mapping[str, Any], now: float) -> None:
        if "error" in message or "errorDetail" in message:
            raise self.refused(_error_text(message))
        self.layers.hear(message)
        self.is_over = self.is_over or str(message.get("status")).startswith("Status:")
        if message.get("status") != "Downloading" or self.layers.fetched - self.moved[1] >= LEAST_BYTES:
            self.moved = (now, self.layers.fetched)
        if now - self.said >= EVERY:
            self.said = now
            total = self.layers.total
            known = max(self.operation.size or 0, self.layers.done) if self.operation.size else None
            self.site.watch.progress(self.layers.done, total if total is not None else known, self.layers.note)

    def _stalled(self) -> OperationError:
        image, registry = self.operation.image, self.operation.registry
        message = f"the pull of `{image}` stands still: less than 1 MiB in {STALLED_AFTER / 60:g} minutes"
        hint = f"check the network between the host and `{registry}`, then apply again"
        return failed("pull-stalled", message, hint, (f"{self.layers.fetched} bytes came in all",))

    def refused(self, words: object) -> OperationError:
        clean = self.site.words(str(words))
        return OperationError(pull_failure(clean, self.operation.image, self.operation.registry, self.secret))


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
