"""Every spec in specs/ is one that `deployer validate` accepts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SPECS = Path(__file__).resolve().parents[2] / "specs"


@pytest.mark.parametrize("name", sorted(p.name for p in SPECS.glob("*.yaml")))
def test_an_example_must_be_valid(name: str) -> None:
    command = [sys.executable, "-m", "deployer", "validate", "-f", f"specs/{name}"]
    done = subprocess.run(command, cwd=SPECS.parent, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "error[" not in done.stderr
    assert "warning[unknown" not in done.stderr


def test_there_must_be_examples() -> None:
    assert len(list(SPECS.glob("*.yaml"))) >= 6
