"""Pulls: what is there stays, what is missing comes with progress, and every refusal says whose it is."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from docker.errors import ImageNotFound

from deployer.spec.language import Registry
from deployer.values.events import StepProgress
from deployer.values.secrets import SecretRef
from deployer.values.transfers import PullImage
from tests.contract.operations.bench import IMAGE, SECRETS, Bench
from tests.contract.operations.conftest import PUSHED


def login(secret: str) -> Registry:
    return Registry(username="ops", password=SecretRef(secret))


@pytest.fixture(autouse=True)
def forget(bench: Bench) -> None:
    for registry in (bench.open_registry, bench.closed_registry):
        with contextlib.suppress(ImageNotFound):
            bench.docker.remove_image(f"{registry}/{PUSHED}")


def pull(registry: str, name: str = PUSHED) -> PullImage:
    return PullImage(f"{registry}/{name}", registry)


def test_an_image_that_is_there_is_kept(bench: Bench) -> None:
    assert bench.perform(PullImage(IMAGE, "docker.io")) == "was there already"


def test_an_image_is_pulled_with_progress_and_once(bench: Bench) -> None:
    assert bench.perform(pull(bench.open_registry)) == ""
    assert bench.docker.inspect_image(f"{bench.open_registry}/{PUSHED}")["Id"]
    assert bench.perform(pull(bench.open_registry)) == "was there already"


def test_an_unknown_tag(bench: Bench) -> None:
    found = bench.failure(pull(bench.open_registry, "models/stub:none"))
    assert found.code == "image-not-found"
    assert "models/stub:none" in found.message
    assert found.hint


def test_a_registry_that_wants_a_login(bench: Bench) -> None:
    found = bench.failure(pull(bench.closed_registry))
    assert found.code == "registry-denied"
    assert found.hint == f"give `registries.{bench.closed_registry}` a username and a password"


def test_a_wrong_password_names_the_secret_and_not_its_value(bench: Bench) -> None:
    bench.registries = {bench.closed_registry: login("wrong")}
    found = bench.failure(pull(bench.closed_registry))
    assert found.code == "registry-denied"
    assert "`wrong`" in found.message
    assert SECRETS["wrong"] not in repr(found)


def test_the_right_password(bench: Bench) -> None:
    bench.registries = {bench.closed_registry: login("login")}
    assert bench.perform(pull(bench.closed_registry)) == ""
    assert all(isinstance(event, StepProgress) for event in bench.events)


def test_a_registry_that_is_not_there(bench: Bench) -> None:
    found = bench.failure(pull("127.0.0.1:1"))
    assert found.code == "registry-unreachable"
    assert "127.0.0.1:1" in found.message
    assert "connection refused" in found.message


def test_another_image_than_the_one_that_was_looked_up(bench: Bench) -> None:
    operation = replace(pull(bench.open_registry), ids=("sha256:" + "0" * 64,))
    assert bench.failure(operation).code == "wrong-digest"


def test_the_login_goes_with_the_request_alone(bench: Bench) -> None:
    bench.registries = {bench.closed_registry: login("login")}
    bench.perform(pull(bench.closed_registry))
    assert bench.failure(pull(bench.closed_registry, "models/other:1")).code in ("image-not-found", "registry-denied")
    bench.registries = {}
    assert bench.failure(pull(bench.closed_registry, "models/stub:2")).code == "registry-denied"


@pytest.mark.parametrize("name", ["models/stub:1", "docker.io/models/stub:1"])
def test_a_mirror_is_asked_instead_and_leaves_no_name_behind(bench: Bench, name: str) -> None:
    bench.registries = {"docker.io": Registry(mirror=bench.open_registry)}
    with contextlib.suppress(ImageNotFound):
        bench.docker.remove_image(PUSHED)
    assert bench.perform(PullImage(name, "docker.io")) == ""
    assert PUSHED in bench.docker.inspect_image(name)["RepoTags"]
    assert f"{bench.open_registry}/{PUSHED}" not in bench.docker.inspect_image(name)["RepoTags"]
    assert bench.perform(PullImage(name, "docker.io")) == "was there already"
    bench.docker.remove_image(PUSHED)
