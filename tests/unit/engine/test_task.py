"""Task containers are gone once they were discarded, also where Docker itself is at it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from deployer.engine.context import ApplyContext, Site
from deployer.engine.secret_sources import SourceReader
from deployer.engine.secrets import SecretStore
from deployer.engine.task import discard
from deployer.engine.watch import Watch
from tests.support.fakeengine import FakeContainer
from tests.support.fakehost import FakeHost


@pytest.fixture
def container(host: FakeHost) -> FakeContainer:
    return host.engine_state.create("suite_weights_0_0123456789ab", {"Image": "stub:1", "Env": ["MODE=silent"]})


def site(host: FakeHost) -> Site:
    secrets = SecretStore({}, SourceReader(Path(), {}), {})
    return Site(ApplyContext("suite", "7f3a", "a1", secrets), host, Watch("s", "here", "it"))


def test_what_docker_removes_by_itself_is_waited_for(host: FakeHost, container: FakeContainer) -> None:
    """Until then its image is in use, and would stay."""
    engine = host.engine_state
    engine.going.add(container.id)
    ended = threading.Timer(0.5, lambda: engine.containers.pop(container.id, None))
    ended.start()
    discard(site(host), container.id)
    assert engine.containers == {}
    ended.join()


def test_what_is_gone_or_cannot_be_removed_is_no_failure(host: FakeHost, container: FakeContainer) -> None:
    discard(site(host), container.id)
    discard(site(host), container.id)
    assert host.engine_state.containers == {}
    host.engine_state.close()
    discard(site(host), "f" * 64)
