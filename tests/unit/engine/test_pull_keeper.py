"""A host that waits for a pull itself: with the login, which nobody else sees, and no longer than it is wanted."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployer.engine.context import ApplyContext, Site
from deployer.engine.images import pull_image
from deployer.engine.pull_keeper import Keeper
from deployer.engine.secret_sources import SourceReader
from deployer.engine.secrets import SecretStore
from deployer.engine.watch import Watch
from deployer.errors import Diagnostic, OperationError, UnreachableError
from deployer.values.transfers import PullImage
from tests.support.fakeengine import FakeImage, FakeRegistry
from tests.support.fakehost import FakeHost

REGISTRY = "registry.lab:5000"
LOGIN = base64.urlsafe_b64encode(json.dumps({"username": "me", "password": "pw"}).encode()).decode()
PATH = "/images/create?fromImage=registry.lab%3A5000%2Fm&tag=1"


@pytest.fixture
def host() -> Iterator[FakeHost]:
    made = FakeHost()
    registry = FakeRegistry({"m:1": FakeImage("sha256:" + "1" * 64)}, login="me:pw")
    registry.hangs = threading.Event()
    made.engine_state.registries[REGISTRY] = registry
    yield made
    registry.hangs.set()
    made.close()


@pytest.fixture
def keeper(host: FakeHost) -> Iterator[Keeper]:
    context = ApplyContext("p", None, "a1", SecretStore({}, SourceReader(Path(), {}), {}))
    made = Keeper(Site(context, host, Watch("s", "here", "pull")), PATH, {"X-Registry-Auth": LOGIN})
    made.begin()
    yield made
    with pytest.raises(KeyboardInterrupt), made.keeping():
        raise KeyboardInterrupt


def seen(pid: int | None, name: str) -> str:
    """Its command line or environment; empty once it is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def eventually(check: Callable[[], bool]) -> bool:
    return any(check() or threading.Event().wait(0.01) for _ in range(1000))


def is_gone(pid: int | None) -> bool:
    return eventually(lambda: not seen(pid, "environ"))


def runs(pid: int | None) -> bool:
    return eventually(lambda: seen(pid, "cmdline").startswith("curl"))


def test_the_host_asks_for_the_same_image(host: FakeHost, keeper: Keeper) -> None:
    assert runs(keeper.pid)
    assert LOGIN not in seen(keeper.pid, "cmdline") + seen(keeper.pid, "environ")
    host.engine_state.registries[REGISTRY].hangs.set()
    assert is_gone(keeper.pid)
    assert pull_image(PullImage(f"{REGISTRY}/m:1", REGISTRY), keeper.site) == "was there already"


def test_it_waits_no_longer_for_what_is_given_up(keeper: Keeper) -> None:
    with pytest.raises(OperationError), keeper.keeping():
        raise OperationError(Diagnostic("pull-stalled", "it stands still"))
    assert is_gone(keeper.pid)


def test_it_goes_on_where_its_asker_is_cut_off(keeper: Keeper) -> None:
    with pytest.raises(UnreachableError), keeper.keeping():
        raise UnreachableError(Diagnostic("unreachable", "no way to it"))
    assert runs(keeper.pid)
