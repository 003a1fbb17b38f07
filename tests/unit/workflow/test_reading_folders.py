"""Names in folders, as the reader of files tells them."""

import pytest

from deployer.workflow.inputs import Inputs, load, read_file, read_inside
from deployer.workflow.sources import Sources

SPEC = "version: 1\nproject: demo\nid: a\nservices: {}\ninventory: hosts\n"


def test_a_path_that_ends_in_a_slash_is_a_folder(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").mkdir()
    assert sorted(read_file(f"{tmp_path}/").split(b"\n")) == [b"a", b"b"]
    with pytest.raises(NotADirectoryError):
        read_file(f"{tmp_path}/a/")
    with pytest.raises(FileNotFoundError):
        read_file(f"{tmp_path}/c/")


def test_a_folder_behind_a_link_is_not_for_strangers(tmp_path, monkeypatch):
    (tmp_path / "outside").mkdir()
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "group_vars").symlink_to(tmp_path / "outside")
    monkeypatch.chdir(tmp_path / "inside")
    with pytest.raises(OSError, match="link"):
        read_inside("group_vars/")


def test_what_a_saved_plan_carries_loads_again(tmp_path, monkeypatch):
    """Listings of folders, and that a file was not there, belong to it."""
    monkeypatch.chdir(tmp_path)
    for path, text in {"deploy.yaml": SPEC, "hosts": "[gpu]\nh\n", "group_vars/gpu/a.yml": "ansible_user: u\n"}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    sources = Sources()
    first = load(Inputs(), read=sources.read)
    again = load(Inputs(), read=Sources(dict(sources.files)).replay)
    assert first.spec == again.spec
    assert again.spec.hosts["h"].user == "u"
