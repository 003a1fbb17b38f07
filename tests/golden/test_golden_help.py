"""Every `--help`, as it is read."""

from __future__ import annotations

import pytest

from deployer.cli.app import COMMANDS, run
from tests.conftest import Golden


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help(golden: Golden, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert run([*([name] if name else []), "--help"]) == 0
    golden.check(f"golden/help/{name or 'deployer'}.txt", capsys.readouterr().out)
