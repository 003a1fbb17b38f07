"""Edits that a command line asks for: worked out on a copy, written whole, and not over somebody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.errors import OperationError
from deployer.workflow.editing import edit
from deployer.workflow.inputs import Inputs

SPEC = """\
version: 1
project: demo
hosts: {here: {connection: local}}
models: {tiny: {source: "file:///srv/models/tiny.gguf"}}
services:
  chat: {model: tiny, replicas: 1}
"""
OVER = "services: {embed: {model: tiny, replicas: 1}}\n"


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    files = tmp_path / "deploy.yaml", tmp_path / "over.yaml"
    for file, text in zip(files, (SPEC, OVER), strict=True):
        file.write_text(text)
    return Inputs(files=tuple(map(str, files)))


def test_nothing_is_written_before_it_is_to_be(inputs: Inputs) -> None:
    made = edit(inputs, "replicas", {"chat": "2", "embed": "3"})
    assert [Path(file).read_text() for file in inputs.files] == [SPEC, OVER]
    made.write()
    assert [Path(file).read_text().count(f"replicas: {n}") for file, n in zip(inputs.files, (2, 3), strict=True)] == [
        1,
        1,
    ]


def test_what_somebody_else_wrote_meanwhile_stays_and_so_does_the_rest(inputs: Inputs) -> None:
    made = edit(inputs, "replicas", {"chat": "2", "embed": "3"})
    Path(inputs.files[1]).write_text(OVER + "# theirs\n")
    with pytest.raises(OperationError) as refused:
        made.write()
    assert refused.value.diagnostic.code == "spec-changed"
    assert [Path(file).read_text() for file in inputs.files] == [SPEC, OVER + "# theirs\n"]
