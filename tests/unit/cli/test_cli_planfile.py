"""Plan files on disk."""

from __future__ import annotations

from pathlib import Path

from deployer.cli.planfile import write_plan
from tests.unit.view.plans import a_plan


def test_a_link_that_lies_in_wait_is_not_written_through(tmp_path: Path) -> None:
    other, path = tmp_path / "other", tmp_path / "plan.json"
    other.write_text("theirs")
    (tmp_path / "plan.json.new").symlink_to(other)
    write_plan(str(path), a_plan(), {})
    assert other.read_text() == "theirs"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not path.is_symlink()
