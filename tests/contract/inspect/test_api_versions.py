"""Which version of the engine's API the SDK speaks, by what an engine says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from docker.constants import DEFAULT_DOCKER_API_VERSION as OURS

from deployer.errors import DockerError
from deployer.spec.language import Host
from deployer.transport.local import LocalTransport
from tests.contract.inspect.engines import Answer, engine

OK = Answer(b"OK")
REFUSED = Answer({"message": f"client version {OURS} is too old"}, 400)


def spoken(tmp_path: Path, newest: str, answers: dict[str, Answer]) -> tuple[str, list[str]]:
    socket = tmp_path / "docker.sock"
    host = LocalTransport("here", Host.model_validate({"connection": "local", "docker": {"socket": str(socket)}}))
    with engine(socket, answers) as server:
        server.headers = {"Api-Version": newest} if newest else {}
        try:
            return str(host.docker().api_version), server.asked
        finally:
            host.close()


@pytest.mark.parametrize(
    ("newest", "answers", "wanted", "asked"),
    [
        ("1.41", {"/_ping": OK}, "1.41", ["/_ping"]),
        (OURS, {"/_ping": OK}, OURS, ["/_ping"]),
        ("1.99", {"/_ping": OK, f"/v{OURS}/_ping": OK}, OURS, ["/_ping", f"/v{OURS}/_ping"]),
        (
            "1.99",
            {
                "/_ping": OK,
                f"/v{OURS}/_ping": REFUSED,
                "/version": Answer({"ApiVersion": "1.99", "MinAPIVersion": "1.90"}),
            },
            "1.90",
            ["/_ping", f"/v{OURS}/_ping", "/version"],
        ),
        ("", {"/_ping": OK, "/version": Answer({"ApiVersion": "1.42"})}, "1.42", ["/_ping", "/version"]),
    ],
)
def test_the_newest_that_both_know_is_spoken(
    tmp_path: Path, newest: str, answers: dict[str, Answer], wanted: str, asked: list[str]
) -> None:
    """`/version` starts programs on a host: it is asked only of engines that leave it open."""
    assert spoken(tmp_path, newest, answers) == (wanted, asked)


def test_an_engine_that_is_too_old_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DockerError) as caught:
        spoken(tmp_path, "1.40", {"/_ping": OK})
    assert caught.value.diagnostic.code == "docker-too-old"


def test_something_else_at_the_socket_is_said(tmp_path: Path) -> None:
    with pytest.raises(DockerError) as caught:
        spoken(tmp_path, "", {"/version": Answer(b"<html>")})
    assert caught.value.diagnostic.code == "docker-down"
