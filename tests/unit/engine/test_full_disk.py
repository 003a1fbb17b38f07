"""What can still be done on a host whose disk is full."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.engine.context import ApplyContext, Site
from deployer.engine.lifecycle import remove_container, start_container, stop_container
from deployer.engine.secret_sources import SourceReader
from deployer.engine.secrets import SecretStore
from deployer.engine.watch import Watch
from deployer.errors import OperationError
from deployer.values.names import ReplicaKey
from deployer.values.operations import RemoveContainer, StartContainer, StopContainer
from tests.contract.operations.bench import labels_for
from tests.support.fakeengine import FakeContainer
from tests.support.fakehost import FakeHost

NAME = "suite_chat_0_0123456789ab"


@pytest.fixture
def container(host: FakeHost) -> FakeContainer:
    labels = {**labels_for(ReplicaKey("chat", 0), "0123456789ab"), "deployer.apply": "a0"}
    made = host.engine_state.create(NAME, {"Image": "stub:1", "Env": ["MODE=silent"], "Labels": labels})
    host.engine_state.start(NAME)
    made.policy = "always"
    host.engine_state.is_full = True
    return made


def site(host: FakeHost) -> Site:
    secrets = SecretStore({}, SourceReader(Path(), {}), {})
    return Site(ApplyContext("suite", "7f3a", "a1", secrets), host, Watch("s", "here", "it"))


def test_what_takes_the_space_is_removed(host: FakeHost, container: FakeContainer) -> None:
    remove_container(RemoveContainer(NAME, container.id, 0.0), site(host))
    assert host.engine_state.containers == {}


def test_nothing_is_stopped_that_would_come_back_by_itself(host: FakeHost, container: FakeContainer) -> None:
    with pytest.raises(OperationError) as caught:
        stop_container(StopContainer(NAME, container.id, 0.0), site(host))
    assert caught.value.diagnostic.code == "disk-full"
    assert container.is_live


def test_a_predecessor_comes_back_and_the_policy_it_lacks_is_said(host: FakeHost, container: FakeContainer) -> None:
    host.engine_state.stop(NAME)
    container.policy = "no"
    with pytest.raises(OperationError) as caught:
        start_container(StartContainer(NAME, container.id, "always"), site(host))
    assert caught.value.diagnostic.code == "disk-full"
    assert container.is_live


def test_what_has_not_answered_never_starts_with_a_policy(host: FakeHost, container: FakeContainer) -> None:
    host.engine_state.stop(NAME)
    with pytest.raises(OperationError):
        start_container(StartContainer(NAME, container.id, "no"), site(host))
    assert not container.is_live
