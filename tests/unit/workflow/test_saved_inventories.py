"""A plan file carries the spec's texts, and never those of an inventory of Ansible's."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.errors import DeployerError
from deployer.workflow.inputs import Inputs, load
from deployer.workflow.saved import refuse_foreign_inventory
from deployer.workflow.sources import Sources

SPEC = (
    "version: 1\nproject: p\nid: a1\ninventory: {}\n"
    "models: {{m: {{source: file:///m.gguf}}}}\nservices: {{c: {{model: m}}}}\n"
)


def loaded(folder: Path, name: str, text: str) -> None:
    (folder / "deploy.yaml").write_text(SPEC.format(name))
    (folder / name).write_text(text)
    inputs, sources = Inputs(files=(str(folder / "deploy.yaml"),)), Sources()
    refuse_foreign_inventory(inputs, sources, load(inputs, read=sources.read))


@pytest.mark.parametrize(
    ("name", "text"),
    [("hosts.ini", "[gpu]\na token=abc\n"), ("hosts.yml", "all:\n  hosts:\n    a: {token: abc}\n")],
)
def test_an_inventory_of_ansibles_is_not_carried(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(DeployerError) as caught:
        loaded(tmp_path, name, text)
    assert caught.value.diagnostics[0].code == "not-supported-yet"
    assert "abc" not in str(caught.value)


def test_an_own_inventory_is_carried(tmp_path: Path) -> None:
    loaded(tmp_path, "hosts.yaml", "version: 1\nhosts:\n  a: {}\n")
    assert (tmp_path / "hosts.yaml").exists()
