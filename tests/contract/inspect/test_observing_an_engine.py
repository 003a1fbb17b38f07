"""This machine observed through the local transport, with a Docker engine that answers what a test says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployer.docker.reader import EngineReader
from deployer.engine.observe import Identity, Question, observe
from deployer.errors import Diagnostic, DockerError
from deployer.spec.language import Host
from deployer.transport.fleet import Fleet
from deployer.transport.streams import StreamConnection
from deployer.values.canonical import canonical_json, revision_of
from deployer.values.codec import to_data
from deployer.values.container import ContainerSpec
from deployer.values.facts import HostFacts, Unreachable
from tests.contract.inspect.engines import Answer, Engine, engine

RECORDED = json.loads((Path(__file__).parent / "data" / "docker-20.10.json").read_text())
SPEC = ContainerSpec("busybox:1")
REVISION = revision_of(to_data(SPEC))
OURS = {
    "deployer.project": "lab", "deployer.id": "", "deployer.service": "chat", "deployer.replica": "0",
    "deployer.member": "0", "deployer.role": "replica", "deployer.revision": REVISION,
    "deployer.spec": canonical_json(to_data(SPEC)), "deployer.apply": "a1",
}  # fmt: skip


def recorded_answers() -> dict[str, Answer]:
    answers = {
        "/version": Answer(RECORDED["version"]),
        "/info": Answer(RECORDED["info"]),
        "/images/json": Answer(RECORDED["images"]),
        "/containers/json?all=1": Answer(RECORDED["listed"]),
    }
    return answers | {f"/containers/{c['Id']}/json": Answer(c) for c in RECORDED["containers"].values()}


def look(socket: Path, paths: tuple[str, ...] = ()) -> HostFacts | Unreachable:
    host = Host.model_validate({"connection": "local", "docker": {"socket": str(socket)}})
    with Fleet({"here": host}) as fleet:
        return observe(fleet, {"here": Question(paths)}, Identity("lab")).hosts["here"]


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "docker.sock"


def refusal(socket: Path, answers: dict[str, Answer]) -> Diagnostic:
    with engine(socket, answers):
        found = look(socket)
    assert isinstance(found, Unreachable)
    assert found.reason.host == "here"
    return found.reason


def test_all_of_a_host_over_one_connection(socket: Path, tmp_path: Path) -> None:
    with engine(socket, recorded_answers()) as server:
        found = look(socket, (str(tmp_path), "named-volume"))
    assert isinstance(found, HostFacts)
    assert [c.name for c in found.containers] == sorted(c["Name"][1:] for c in RECORDED["containers"].values())
    assert found.docker.version == "20.10.24+dfsg1"
    assert "busybox:1" in [tag for image in found.images for tag in image.tags]
    assert set(found.paths) == {str(tmp_path)}
    assert {disk.path for disk in found.disks} >= {str(tmp_path), "/var/lib/deployer", "/var/lib/docker"}
    assert server.connections == 1
    assert len(server.asked) == len(set(server.asked)) == 4 + len(RECORDED["containers"])


def test_a_container_that_went_meanwhile_is_not_there(socket: Path) -> None:
    gone = RECORDED["containers"]["gpus"]["Id"]
    answers = recorded_answers()
    del answers[f"/containers/{gone}/json"]
    with engine(socket, answers):
        found = look(socket)
    assert isinstance(found, HostFacts)
    assert gone not in [container.id for container in found.containers]
    assert len(found.containers) == len(RECORDED["containers"]) - 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer({"message": "no such layer"}, 500), "HTTP 500 no such layer"),
        (Answer(b"<html>"), "Expecting value"),
        (Answer(b"", 500), "Expecting value"),
    ],
)
def test_a_container_of_others_that_docker_cannot_describe_hides_no_host(
    socket: Path, answer: Answer, why: str
) -> None:
    broken = next(entry for entry in RECORDED["listed"] if entry["Ports"])
    with engine(socket, recorded_answers() | {f"/containers/{broken['Id']}/json": answer}):
        found = look(socket)
        assert isinstance(found, HostFacts)
    (container,) = [c for c in found.containers if c.unread]
    assert (container.id, container.name) == (broken["Id"], broken["Names"][0][1:])
    assert why in container.unread
    assert container.recorded is None
    assert {port for _, port, _ in container.ports} == {p["PublicPort"] for p in broken["Ports"] if "PublicPort" in p}
    assert len(found.containers) == len(RECORDED["containers"])


def test_one_of_ours_that_docker_cannot_describe_makes_the_host_unusable(socket: Path) -> None:
    inspected, listed = our_container("sha256:" + "9" * 64)
    answers = recorded_answers() | {
        "/containers/json?all=1": Answer([listed]),
        f"/containers/{inspected['Id']}/json": Answer({"message": "no such layer"}, 500),
    }
    assert "HTTP 500 no such layer" in refusal(socket, answers).message


def our_container(image: str) -> tuple[dict[str, Any], dict[str, Any]]:
    base = RECORDED["containers"]["host"]
    config = base["Config"] | {"Labels": OURS}
    inspected = base | {"Name": f"/lab_chat_0_{REVISION}", "Image": image, "Config": config}
    return inspected, {"Id": base["Id"], "ImageID": image, "Labels": OURS}


@pytest.mark.parametrize(
    ("image", "ours", "labelled"),
    [
        (Answer({"Config": {"Labels": {"maintainer": "x"}}}), True, "lab"),
        (Answer({"Config": {"Labels": OURS}}), False, None),
        (Answer({"message": "no such image"}, 404), False, "lab"),
    ],
)
def test_an_image_that_no_list_shows_is_asked_for(
    socket: Path, image: Answer, ours: bool, labelled: str | None
) -> None:
    hidden = "sha256:" + "9" * 64
    inspected, listed = our_container(hidden)
    answers = recorded_answers() | {
        "/containers/json?all=1": Answer([listed]),
        f"/containers/{listed['Id']}/json": Answer(inspected),
        f"/images/{hidden}/json": image,
    }
    with engine(socket, answers):
        found = look(socket)
    assert isinstance(found, HostFacts)
    (container,) = found.containers
    assert (container.recorded is not None) is ours
    assert container.labelled_project == labelled


def test_an_engine_that_keeps_no_connection(socket: Path) -> None:
    answers = recorded_answers()
    for answer in answers.values():
        answer.close = True
    with engine(socket, answers):
        found = look(socket)
    assert isinstance(found, HostFacts)
    assert len(found.containers) == len(RECORDED["containers"])


def test_an_engine_from_before_our_time(socket: Path) -> None:
    version = RECORDED["version"] | {"ApiVersion": "1.40", "Version": "19.03.15"}
    reason = refusal(socket, recorded_answers() | {"/version": Answer(version)})
    assert reason.code == "docker-too-old"
    assert "19.03.15 (API 1.40)" in reason.message
    assert reason.hint is not None


@pytest.mark.parametrize(
    ("path", "answer", "words"),
    [
        ("/version", Answer(b"<html>"), "GET /version"),
        ("/version", Answer({}), "something else answers"),
        ("/info", Answer({"message": "storage driver \x1b[31mfailed"}, 500), "HTTP 500 storage driver failed"),
        ("/containers/json?all=1", Answer(b"[" * 100_000), "nested too deeply"),
        ("/images/json", Answer({"message": "Forbidden"}, 403), "HTTP 403 Forbidden"),
    ],
)
def test_what_cannot_be_read_is_said(socket: Path, path: str, answer: Answer, words: str) -> None:
    reason = refusal(socket, recorded_answers() | {path: answer})
    assert reason.code == "docker-unreadable"
    assert words in reason.message
    assert "\x1b" not in reason.message


def test_no_engine_at_all(socket: Path) -> None:
    found = look(socket)
    assert isinstance(found, Unreachable)
    assert found.reason.code.startswith("docker-")


# --- the reader alone


@pytest.fixture
def server(socket: Path) -> Iterator[Engine]:
    answers = {f"/{n}": Answer(n) for n in range(50)} | {"/slow": Answer(b"", drip=True)}
    with engine(socket, answers) as running:
        yield running


def connect(server: Engine) -> StreamConnection:
    import socket as sockets

    from deployer.transport.streams import Stream

    def opened(timeout: float | None) -> Stream:
        pipe = sockets.socket(sockets.AF_UNIX)
        pipe.connect(str(server.server_address))
        return Stream(pipe)

    return StreamConnection(opened, "docker", None, 5.0)


def read_all(reader: EngineReader) -> list[int]:
    found = [reader.data(answer) for answer in reader.read([f"/{n}" for n in range(50)])]
    reader.close()
    return found


def test_one_connection_is_enough(server: Engine) -> None:
    assert read_all(EngineReader("h", lambda: connect(server), 20.0)) == list(range(50))
    assert server.connections == 1


def test_what_a_closed_connection_left_unanswered_is_asked_again(server: Engine) -> None:
    server.answers = {**server.answers, "/7": Answer(7, close=True), "/30": Answer(30, close=True)}
    assert read_all(EngineReader("h", lambda: connect(server), 20.0)) == list(range(50))
    assert server.connections > 1


def test_why_there_is_no_connection_is_said() -> None:
    def none() -> StreamConnection:
        raise DockerError(Diagnostic("docker-denied", "no rights", host="h"))

    with pytest.raises(DockerError, match="docker-denied"):
        read_all(EngineReader("h", none, 20.0))


def test_versions_are_taken_from_any_answer(socket: Path) -> None:
    """`/version` is asked only of engines that do not say it in every answer's head."""
    answers = recorded_answers()
    del answers["/version"]
    with engine(socket, answers) as server:
        server.headers = {"Api-Version": "1.47", "Server": "Docker/27.1.2 (linux)"}
        found = look(socket)
    assert isinstance(found, HostFacts)
    assert (found.docker.version, found.docker.api_version) == ("27.1.2", "1.47")
    assert "/version" not in server.asked


def test_a_drip_is_given_up(server: Engine) -> None:
    reader = EngineReader("h", lambda: connect(server), 0.5)
    with pytest.raises(DockerError, match="no whole answer in time"):
        reader.get("/slow")
