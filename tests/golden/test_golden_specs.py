"""Every example of specs/, as `deployer render` prints it: the `docker run` that its spec stands for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deployer import backends
from deployer.cli.app import run
from deployer.planning.render_template import builtin_template
from tests.conftest import Golden

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "specs").glob("*.yaml"))
PROGRAMS = sorted({program for backend in backends.load_all() for program in backend.files.values()})


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_render(
    path: Path, golden: Golden, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert run(["render", "-f", f"specs/{path.name}"]) == 0
    text = re.sub(r"(_\d+_)[0-9a-f]{12}\b", r"\g<1>0123456789ab", capsys.readouterr().out)  # revisions
    for program in PROGRAMS:
        text = text.replace(builtin_template(program), f"(templates/{program})\n")
    golden.check(f"golden/specs/{path.stem}.txt", text)


def test_every_backend_has_an_example() -> None:
    page = (ROOT / "BACKENDS.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for backend in backends.load_all():
        (row,) = [line for line in rows if line.startswith(f"| `{backend.name}` |")]
        assert "](specs/" in row, f"{backend.name} has no example"


def test_every_golden_belongs_to_an_example() -> None:
    assert {path.stem for path in (ROOT / "tests/golden/specs").glob("*.txt")} == {path.stem for path in SPECS}
