"""Habits worth a warning, and the rules of the spec's own policy that it can be judged by before it is planned."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from deployer.errors import Where
from deployer.spec.check.context import Checked
from deployer.spec.language import Service
from deployer.spec.nodes import KeyPath
from deployer.spec.suggestions import listing
from deployer.values.images import parse_image

PIN = "name a version's tag, or a digest"


def check_policy(checked: Checked) -> None:
    if checked.spec.id is None and checked.root.at("id") is None:
        message = f"the project has no `id`: hosts know it by the name `{checked.spec.project}` alone"
        checked.warn("no-id", message, ("project",), "add an `id`, a random word such as `7f3a9c1e`")
    for name, service in checked.spec.services.items():
        _check_service(checked, name, service)
    _check_open_ports(checked)


def _check_open_ports(checked: Checked) -> None:
    """One warning for each place that opens ports: a single default may open all of them."""
    found: dict[Where, list[str]] = {}
    for name, service in checked.spec.services.items():
        if _is_open(service) and not service.options.api_key:
            found.setdefault(checked.where(("services", name, "port", "bind")), []).append(name)
    for names in found.values():
        bind = checked.spec.services[names[0]].port.bind
        what = f"service {listing(names)} listens" if len(names) == 1 else f"services {listing(names)} listen"
        message = f"{what} on `{bind}` without an API key"
        hint = "add `options.api_key: [{secret: NAME}]`, or bind to 127.0.0.1"
        checked.breach("open-port-without-key", message, ("services", names[0], "port", "bind"), hint)


def _check_service(checked: Checked, name: str, service: Service) -> None:
    path = ("services", name)
    if service.container.ipc == "host" and service.container.shm_size is not None:
        message = f"Docker ignores `shm_size` of service `{name}` beside `ipc: host`"
        checked.warn("shm-size-ignored", message, (*path, "container", "shm_size"), "remove one of the two")
    if service.options.trust_remote_code:
        message = f"service `{name}` runs code that comes with its model"
        hint = "read that code, or remove `trust_remote_code`"
        checked.breach("trust-remote-code", message, (*path, "options", "trust_remote_code"), hint)
    if service.container.privileged:
        message = f"service `{name}` runs in a privileged container"
        hint = "give it the devices and capabilities it needs instead: `devices`, `cap_add`"
        checked.breach("privileged", message, (*path, "container", "privileged"), hint)
    if service.container.network == "host":
        message = f"service `{name}` runs on its host's network"
        checked.breach("host-network", message, (*path, "container", "network"), "leave `network` out")
    for where, image in _images(service):
        if is_latest(image):
            checked.breach("latest-tag", f"service `{name}` runs {latest_words(image)}", (*path, *where), PIN)


def _images(service: Service) -> Iterator[tuple[KeyPath, str]]:
    """Those that are written; which one a backend has by itself is known when it is planned."""
    if service.image is not None:
        yield ("image",), service.image.name
    for index, override in enumerate(service.overrides):
        if override.image is not None:
            yield ("overrides", index, "image"), override.image.name


def is_latest(image: str) -> bool:
    """The image moves whenever its registry says so: tag `latest`, or none."""
    try:
        found = parse_image(image)
    except ValueError:
        return False  # is said elsewhere
    return found.digest is None and found.tag in (None, "latest")


def latest_words(image: str) -> str:
    has_tag = ":" in image.rpartition("/")[2]
    return f"image `{image}`, " + ("whose tag `latest` moves" if has_tag else "without a tag")


def _is_open(service: Service) -> bool:
    if service.container.network == "host":
        return False  # what it binds to is the backend's to say
    try:
        return not ip_address(service.port.bind).is_loopback
    except ValueError:
        return service.port.bind != "localhost"
