"""A GPU is one container's, also when two projects start on it at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployer.engine.context import ApplyContext
from deployer.engine.lock import Holder, HostLock
from deployer.engine.perform import Performer
from deployer.engine.secret_sources import SourceReader
from deployer.engine.secrets import SecretStore
from deployer.engine.watch import Watch
from deployer.errors import OperationError
from deployer.values.canonical import canonical_json, revision_of
from deployer.values.codec import to_data
from deployer.values.container import ContainerSpec
from deployer.values.events import Event, StepWaiting
from deployer.values.gpu_facts import Gpu
from deployer.values.names import ReplicaKey
from deployer.values.operations import CreateContainer, Operation, StartContainer, UpdateContainer
from tests.contract.operations.bench import IMAGE, labels_for
from tests.support.fakeengine import FakeImage
from tests.support.fakehost import FakeHost

GPUS = ("GPU-aaaa", "GPU-bbbb")
Emit = Callable[[Event], None]


@pytest.fixture
def host() -> Iterator[FakeHost]:
    found = FakeHost(gpus=GPUS)
    found.engine_state.images = {IMAGE: FakeImage("sha256:" + "0" * 64)}
    yield found
    found.close()


def unheard(event: Event) -> None:
    """Nobody listens."""


def perform(
    host: FakeHost, project: str, operation: Operation, *, is_locked: bool = False, emit: Emit = unheard
) -> str:
    secrets = SecretStore({}, SourceReader(Path("/"), {}), {})
    cards = tuple(Gpu(index, uuid, "NVIDIA H100", 80 << 30) for index, uuid in enumerate(GPUS))
    context = ApplyContext(project, "7f3a", "a1", secrets, is_locked=is_locked, gpus={"here": cards})
    return Performer(context, {"here": host})("here", operation, Watch("s", "here", "x", emit))


def created(host: FakeHost, project: str, gpu: str, share: int | None = None, restart: str = "always") -> str:
    """The name of a container of a project, with a GPU, or that many GiB of it."""
    spec = ContainerSpec(IMAGE, gpus=(gpu,), restart=restart)
    revision = revision_of(to_data(spec))
    name = f"{project}_chat_0_{revision}"
    labels = labels_for(ReplicaKey("chat", 0), revision) | {"deployer.project": project}
    labels["deployer.spec"] = canonical_json(to_data(spec))
    if share is not None:
        labels["deployer.decisions"] = canonical_json({"gpu_share": share << 30})
    perform(host, project, CreateContainer(name, spec, labels))
    return name


def start(host: FakeHost, project: str, name: str, *, is_locked: bool = False, emit: Emit = unheard) -> str:
    """What came of it: `started`, or the code of the failure."""
    try:
        perform(host, project, StartContainer(name, None, "no"), is_locked=is_locked, emit=emit)
    except OperationError as error:
        return error.diagnostics[0].code
    return "started"


def answers(host: FakeHost, project: str, name: str, restart: str = "always") -> None:
    """As an apply of its project notes it."""
    perform(host, project, UpdateContainer(name, None, restart))


def running(host: FakeHost) -> list[str]:
    return [c.name for c in host.engine_state.containers.values() if c.is_live]


def test_a_gpu_that_another_container_has_is_refused(host: FakeHost) -> None:
    first, second, third = (created(host, name, f"GPU-{card * 4}") for name, card in ("aa", "ba", "cb"))
    assert start(host, "a", first) == "started"
    assert start(host, "b", second) == "gpu-taken"
    assert start(host, "c", third) == "started"
    assert running(host) == [first, third]


@pytest.mark.parametrize("asked", [{"Count": -1}, {"DeviceIDs": ["0"]}])
def test_also_one_that_names_it_otherwise(host: FakeHost, asked: dict[str, object]) -> None:
    """`--gpus all` and an index mean the same GPU."""
    host.engine_state.gpus = (*GPUS, "0")
    request = {"Driver": "nvidia", "Capabilities": [["gpu"]], **asked}
    theirs = host.docker().create_container_from_config(
        {"Image": IMAGE, "HostConfig": {"DeviceRequests": [request]}}, name="theirs"
    )
    host.docker().start(theirs["Id"])
    assert start(host, "a", created(host, "a", "GPU-aaaa")) == "gpu-taken"
    assert running(host) == ["theirs"]


@pytest.mark.parametrize("attempt", range(8))
def test_of_two_that_start_at_the_same_moment_one_goes_on(host: FakeHost, attempt: int) -> None:
    names = {project: created(host, project, "GPU-aaaa") for project in ("a", "b", "c")}
    assert sorted(raced(host, names)) == ["gpu-taken", "gpu-taken", "started"]
    assert len(running(host)) == 1


def raced(host: FakeHost, names: dict[str, str], *, is_locked: bool = False) -> list[str]:
    """What comes of starting these containers of projects at the same moment."""
    gate, came = threading.Barrier(len(names)), list[str]()

    def run(project: str) -> None:
        gate.wait(10)
        came.append(start(host, project, names[project], is_locked=is_locked))

    threads = [threading.Thread(target=run, args=(project,)) for project in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return came


def test_of_applies_that_hold_their_locks_only_one_even_starts(host: FakeHost) -> None:
    names = {project: created(host, project, "GPU-aaaa") for project in ("a", "b", "c")}
    for project in names:
        assert HostLock(host, Holder(project, "a1", "ops")).take() is None
    assert sorted(raced(host, names, is_locked=True)) == ["gpu-taken", "gpu-taken", "started"]
    assert len([request for request in host.engine_state.requests if request.endswith("/start")]) == 1


def test_beside_one_that_comes_and_goes_it_is_started_all_the_same(host: FakeHost) -> None:
    assert HostLock(host, Holder("a", "a1", "ops")).take() is None
    other = host.docker().create_container_from_config({"Image": IMAGE}, name="restless")["Id"]
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            host.docker().start(other)
            host.docker().stop(other, timeout=0)

    restless = threading.Thread(target=come_and_go)
    restless.start()
    try:
        assert start(host, "a", created(host, "a", "GPU-aaaa"), is_locked=True) == "started"
    finally:
        over.set()
        restless.join(30)


def test_what_shares_the_gpu_by_plan_and_what_returns_to_it_are_no_reason(host: FakeHost) -> None:
    first, second = created(host, "a", "GPU-aaaa"), created(host, "b", "GPU-aaaa")
    assert start(host, "a", first) == "started"
    shared = host.docker().inspect_container(first)["Id"]
    assert perform(host, "b", StartContainer(second, None, "no", beside=(shared,))) == ""
    host.docker().stop(second, timeout=0)
    assert perform(host, "b", StartContainer(second, None, "no", returns=True)) == ""


def test_those_that_share_start_as_long_as_there_is_room(host: FakeHost) -> None:
    first, second, third = (created(host, project, "GPU-aaaa", share=30) for project in ("a", "b", "c"))
    alone = created(host, "d", "GPU-aaaa")
    for project, name in (("a", first), ("b", second)):
        assert start(host, project, name) == "started"
        answers(host, project, name)
    assert start(host, "c", third) == "gpu-taken", "90 of 80 GiB"
    assert start(host, "d", alone) == "gpu-taken"
    host.docker().stop(first, timeout=0)
    assert start(host, "c", third) == "started"
    assert running(host) == [second, third]


def test_beside_one_that_does_not_say_how_much_it_takes_nobody_shares(host: FakeHost) -> None:
    alone, sharing = created(host, "a", "GPU-aaaa"), created(host, "b", "GPU-aaaa", share=10)
    assert start(host, "a", alone) == "started"
    assert start(host, "b", sharing) == "gpu-taken"


@pytest.mark.parametrize("said", ["lots", -1, 0, True, 1 << 60, None])
def test_a_share_that_is_none_is_not_believed(host: FakeHost, said: object) -> None:
    names = {project: created(host, project, "GPU-aaaa", share=10) for project in ("a", "b")}
    for container in host.engine_state.containers.values():
        container.body["Labels"]["deployer.decisions"] = canonical_json({"gpu_share": said})
    assert [start(host, project, name) for project, name in names.items()] == ["started", "gpu-taken"]


@pytest.mark.parametrize("restart", ["always", "no"])
def test_on_a_gpu_that_projects_share_one_starts_once_the_other_has_answered(host: FakeHost, restart: str) -> None:
    first, second = (created(host, project, "GPU-aaaa", 30, restart) for project in ("a", "b"))
    assert start(host, "a", first) == "started"
    said, waits, came = list[Event](), threading.Event(), list[str]()

    def heard(event: Event) -> None:
        said.append(event)
        waits.set()

    thread = threading.Thread(target=lambda: came.append(start(host, "b", second, emit=heard)))
    thread.start()
    assert waits.wait(60)
    assert running(host) == [first]
    assert [event.last_line for event in said if isinstance(event, StepWaiting)] == [
        f"(container `{first}` is starting on a GPU that both share)"
    ]
    answers(host, "a", first, restart)
    thread.join(60)
    assert came == ["started"]
    assert running(host) == [first, second]


def test_what_never_answered_is_not_waited_for_for_ever(host: FakeHost) -> None:
    first, second = (created(host, project, "GPU-aaaa", share=30) for project in ("a", "b"))
    assert start(host, "a", first) == "started"
    for container in host.engine_state.containers.values():
        container.started_at = "2020-01-01T00:00:00Z"
    assert start(host, "b", second) == "started"
