"""The suite's hosts: the fake one, and a real dockerd locally and over a real sshd."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployer.transport import ConnectOptions, Transport, open_transport
from tests.contract.operations.bench import IMAGE, LABELLED, LABELLED_LABELS, Bench
from tests.support import realengine
from tests.support.fakeengine import FakeImage, FakeRegistry
from tests.support.fakehost import FakeHost
from tests.support.realengine import LOGIN, free_port

PUSHED = "models/stub:1"


@dataclass(frozen=True)
class Place:
    """A host and its two registries, which both hold PUSHED; one of them wants LOGIN."""

    transport: Transport
    open_registry: str
    closed_registry: str


@pytest.fixture(scope="session")
def fake() -> Iterator[Place]:
    host = FakeHost()
    state = host.engine_state
    plain = FakeImage(_image_id("plain"))
    state.images = {IMAGE: plain, LABELLED: FakeImage(_image_id("labelled"), LABELLED_LABELS)}
    by_digest = f"{PUSHED.partition(':')[0]}@{_image_id('manifest')}"
    state.registries = {
        "127.0.0.1:5000": FakeRegistry({PUSHED: plain, by_digest: plain}),
        "127.0.0.1:5001": FakeRegistry({PUSHED: plain}, login=":".join(LOGIN)),
    }
    yield Place(host, "127.0.0.1:5000", "127.0.0.1:5001")
    host.close()


def _image_id(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(scope="session")
def dockerd(worker_id: str) -> Iterator[Place]:
    reason = realengine.missing()
    if reason and os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    if reason:
        pytest.skip(reason)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dockerd", ignore_cleanup_errors=True)))
        network = 10 + os.getpid() % 200
        transport = realengine.local(stack.enter_context(realengine.dockerd(directory, network)))
        stack.callback(transport.close)
        realengine.load_images(transport, IMAGE, (LABELLED, LABELLED_LABELS))
        registries = (
            stack.enter_context(realengine.registry(directory, "open")),
            stack.enter_context(realengine.registry(directory, "closed", LOGIN)),
        )
        for address, login in zip(registries, (None, LOGIN), strict=True):
            _push(transport, address, login)
        yield Place(transport, *registries)


def _push(transport: Transport, registry: str, login: tuple[str, str] | None) -> None:
    client, (repository, tag) = transport.docker(), PUSHED.split(":")
    client.tag(IMAGE, f"{registry}/{repository}", tag)
    auth = {"username": login[0], "password": login[1]} if login else None
    said = client.push(f"{registry}/{repository}", tag, auth_config=auth)
    assert "error" not in said, said
    client.remove_image(f"{registry}/{PUSHED}")


@pytest.fixture(scope="session")
def sshd(dockerd: Place) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="sshd") as directory:
        socket = Path(dockerd.transport.host.docker.socket)
        with realengine.sshd(Path(directory), socket) as host:
            transport = open_transport("here", host, ConnectOptions())
            yield Place(transport, dockerd.open_registry, dockerd.closed_registry)
            transport.close()


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    worker: dict[str, str] = getattr(request.config, "workerinput", {})
    return worker.get("workerid", "master")


@pytest.fixture(
    params=[
        "fake",
        pytest.param("dockerd", marks=[pytest.mark.lab, pytest.mark.xdist_group("dockerd")]),
        # what SSH adds is held by tests/contract/transport
        pytest.param("sshd", marks=[pytest.mark.lab, pytest.mark.heavy, pytest.mark.xdist_group("dockerd")]),
    ]
)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    place: Place = request.getfixturevalue(request.param)
    bench = Bench(place.transport, place.open_registry, place.closed_registry, free_port(), tmp_path)
    yield bench
    for container in bench.docker.containers(all=True):
        bench.docker.remove_container(container["Id"], force=True)
