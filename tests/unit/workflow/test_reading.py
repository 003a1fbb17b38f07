"""What confined commands read: nothing that a link makes of a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.workflow.inputs import read_inside


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "secret").write_text("s")
    inside = tmp_path / "repo"
    inside.mkdir()
    (inside / "real").write_text("r")
    (inside / "to-real").symlink_to("real")
    (inside / "to-secret").symlink_to("../secret")
    (inside / "up").symlink_to("..")
    monkeypatch.chdir(inside)
    return inside


def test_links_within_the_folder_are_read(folder: Path) -> None:
    assert read_inside("to-real") == b"r"
    assert read_inside(str(folder / "to-real")) == b"r"


@pytest.mark.parametrize("name", ["to-secret", "up/secret"])
def test_links_out_of_the_folder_are_refused(folder: Path, name: str) -> None:
    with pytest.raises(OSError, match="link"):
        read_inside(name)


def test_an_absolute_path_is_no_way_around(folder: Path) -> None:
    with pytest.raises(OSError, match="link"):
        read_inside(str(folder / "to-secret"))
