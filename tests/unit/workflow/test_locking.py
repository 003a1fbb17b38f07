"""deploy.lock is written whole or not at all, and nowhere else."""

from __future__ import annotations

from pathlib import Path

from deployer.spec.lockfile import parse_lock
from deployer.values.lock import Lock
from deployer.workflow.locking import _write


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "deploy.lock"
    theirs.write_text("kept")
    (tmp_path / "deploy.lock.new").symlink_to(theirs)
    _write(str(ours), Lock())
    assert theirs.read_text() == "kept"
    assert not ours.is_symlink()
    assert parse_lock(ours.read_bytes(), str(ours)) == Lock()
