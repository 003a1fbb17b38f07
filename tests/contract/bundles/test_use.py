"""Loaded bundles: what they bring is found again, is right, and reaches a host without a hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deployer.errors import OperationError
from deployer.planning.weights import manifest_of
from deployer.spec.language import Host
from deployer.transport.local import LocalTransport
from deployer.values.weights import Manifest
from deployer.weights.bundles.opening import Allowed
from deployer.weights.bundles.store import Store
from deployer.weights.bundles.using import InUse
from deployer.weights.push import push
from deployer.weights.script import Job
from deployer.workflow.bundles import bring, with_bundle
from deployer.workflow.inputs import Inputs, load
from tests.contract.bundles.conftest import FILES, Desk


def quiet(*said: object) -> None:
    pass


def used(desk: Desk, path: str) -> InUse:
    environment = {"HOME": str(desk.home)}
    return bring(path, Allowed.of(None, environment), Store.of(environment), quiet)


def must_reach_a_host(bundle: InUse, inputs: Inputs, cache: Path) -> None:
    project = load(inputs)
    model = project.spec.models["m"]
    manifest = manifest_of(model, bundle.listings()[model.reference], ("gguf",))
    assert isinstance(manifest, Manifest)
    host = LocalTransport("h1", Host.model_validate({"connection": "local"}))
    try:
        push(host, Job(str(cache), manifest), quiet)
    finally:
        host.close()
    snapshot = cache / manifest.snapshot
    assert {p.name: p.read_bytes() for p in snapshot.iterdir()} == FILES


@pytest.mark.parametrize("path", ["b", "b.tar", "air"])
def test_weights_and_spec_come_from_the_bundle_alone(desk: Desk, path: str, tmp_path: Path) -> None:
    desk.create("b" if path == "b" else "b.tar")
    if path == "air":
        desk.run("bundle", "load", "b.tar")
    for name in ("deploy.yaml", "deploy.lock"):
        (desk.outside / name).unlink()
    desk.hub.close()
    bundle = used(desk, path)
    inputs = with_bundle(Inputs(environment={"HOME": str(desk.home)}), bundle, spec_at_hand=False)
    assert inputs.offline
    must_reach_a_host(bundle, inputs, tmp_path / "cache")


def test_an_inventory_of_the_inside_says_where_the_hosts_are(desk: Desk, tmp_path: Path) -> None:
    desk.create("b")
    inventory = tmp_path / "inside/hosts.yaml"
    inventory.parent.mkdir()
    inventory.write_text("hosts: {h1: {user: root}, h2: {}}\n")
    given = Inputs(inventories=(str(inventory),), environment={"HOME": str(desk.home)})
    project = load(with_bundle(given, used(desk, "b"), spec_at_hand=False))
    assert {name: host.user for name, host in project.spec.hosts.items()} == {"h1": "root", "h2": None}
    assert project.spec.hosts["h1"].address == "192.0.2.1"
    other = replace(given, inventories=())
    (desk.outside / "deploy.yaml").write_text("not: a spec")
    assert set(load(with_bundle(other, used(desk, "b"), spec_at_hand=False)).spec.hosts) == {"h1"}


def test_a_delta_takes_the_rest_from_what_was_loaded_before(desk: Desk, tmp_path: Path) -> None:
    desk.create("old.tar", "--sequence", "1")
    (desk.outside / "deploy.yaml").write_text((desk.outside / "deploy.yaml").read_text() + "\n")
    made = desk.create("new.tar", "--since", "old.tar", "--sequence", "2")
    assert made["needs"]
    bundle = used(desk, "new.tar")
    inputs = with_bundle(Inputs(environment={"HOME": str(desk.home)}), bundle, spec_at_hand=False)
    model = load(inputs).spec.models["m"]
    assert {file.url for file in bundle.listings()[model.reference].files} == {""}
    assert desk.run("apply", "--bundle", "old.tar", "-y", exit=3) == {"bundle-older"}
    desk.run("bundle", "load", "old.tar")  # to be kept, and not applied
    must_reach_a_host(used(desk, "new.tar"), inputs, tmp_path / "cache")


def test_the_name_of_a_project_means_what_was_loaded_last(desk: Desk) -> None:
    for number in ("1", "2", "3"):
        desk.create(f"{number}.tar", "--sequence", number)
        (desk.outside / "deploy.yaml").write_text((desk.outside / "deploy.yaml").read_text() + "\n")
    desk.run("bundle", "load", "2.tar")
    assert used(desk, "air").bundle.sequence == 2
    desk.run("bundle", "load", "1.tar", "--allow-older")
    assert used(desk, "air").bundle.sequence == 1
    assert desk.run("bundle", "load", "1.tar", exit=3) == {"bundle-older"}
    desk.run("bundle", "load", "2.tar")
    assert used(desk, "air").bundle.sequence == 2
    desk.create("4.tar", "--since", "3.tar", "--sequence", "4")
    desk.run("bundle", "load", "4.tar")
    desk.run("bundle", "load", "3.tar")  # what it was made since
    assert used(desk, "air").bundle.sequence == 4


def test_a_bundle_used_where_it_lies_is_not_what_was_loaded(desk: Desk) -> None:
    desk.create("old.tar", "--sequence", "1")
    (desk.outside / "deploy.yaml").write_text((desk.outside / "deploy.yaml").read_text() + "\n")
    desk.create("new", "--sequence", "2")
    desk.run("bundle", "load", "old.tar")
    assert used(desk, "new").bundle.sequence == 2
    kept = used(desk, "air")
    assert kept.bundle.sequence == 1
    inputs = with_bundle(Inputs(environment={"HOME": str(desk.home)}), kept, spec_at_hand=False)
    assert load(inputs).spec.project == "air"
    assert desk.run("bundle", "load", "old.tar", exit=3) == {"bundle-older"}
    nowhere = with_bundle(inputs, replace(kept, find=lambda sha256: None), spec_at_hand=False)
    with pytest.raises(OperationError) as failed:
        load(nowhere)
    assert failed.value.diagnostic.code == "bundle-lacks"
    assert "deployer bundle load" in (failed.value.diagnostic.hint or "")


def test_a_bundle_of_another_project_is_not_used_for_a_spec_at_hand(desk: Desk) -> None:
    desk.create("b")
    text = (desk.outside / "deploy.yaml").read_text()
    (desk.outside / "other.yaml").write_text(text.replace('"gap"', '"other"'))
    failed = desk.run("apply", "--bundle", "b", "-f", "other.yaml", "-y", exit=3)
    assert failed == {"bundle-of-another-project"}
