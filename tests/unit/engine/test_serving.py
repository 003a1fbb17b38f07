"""Which hosts do not serve weights, and what is left alone there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.engine.context import ApplyContext, Site
from deployer.engine.secret_sources import SourceReader
from deployer.engine.secrets import SecretStore
from deployer.engine.serving import serve_weights
from deployer.engine.watch import Watch
from deployer.values.transfers import ServeWeights
from deployer.values.weights import Manifest, WeightFile
from deployer.weights.serving import IMAGE, image_tag
from tests.support.fakeengine import FakeImage
from tests.support.fakehost import FakeHost

MANIFEST = Manifest("hf://org/name", "main", "a" * 40, (WeightFile("config.json", 2, "b" * 64),))
STRANGERS = FakeImage("sha256:" + "9" * 64, diff_ids=("sha256:" + "8" * 64,))


class Dialled(FakeHost):
    """As one with `become`, or whose sshd forbids forwarding."""

    dials = True


@pytest.fixture(params=[FakeHost, Dialled])
def host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHost]:
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 50000 10.0.0.11 22")
    made: FakeHost = request.param()
    made.engine_state.images[f"{IMAGE}:{image_tag()}"] = STRANGERS
    yield made
    made.close()


def site(host: FakeHost) -> Site:
    secrets = SecretStore({}, SourceReader(Path("/"), {}), {})
    return Site(ApplyContext("lab", None, "a1", secrets), host, Watch("s", "here", ""))


def serving(host: FakeHost) -> ServeWeights:
    return ServeWeights(str(host.root / "cache"), MANIFEST, 8123, ("other",))


def test_an_image_of_that_name_with_another_content_stays(host: FakeHost) -> None:
    at = site(host)
    for _ in range(2):
        assert serve_weights(serving(host), at).endswith(f"image `{IMAGE}:{image_tag()}` is somebody else's")
    assert list(host.engine_state.images.values()) == [STRANGERS]
    assert host.engine_state.containers == {}
    assert at.context.peers.of(MANIFEST.id, ("here",)) == ()


def test_of_few_connections_to_docker_one_is_for_serving(host: FakeHost) -> None:
    at = site(host)
    assert at.context.peers.claims("here")
    said = serve_weights(serving(host), at)
    assert ("room for one" in said) == host.dials
