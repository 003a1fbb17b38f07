"""Bundles that were damaged or made to harm: refused by name, with nothing of them left on the machine."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.bundles.conftest import BIG, Desk
from tests.support.hub import sha256

Members = list[tuple[tarfile.TarInfo, bytes]]
WEIGHTS = f"blobs/sha256/{sha256(BIG)}"


def read(path: Path) -> Members:
    with tarfile.open(path) as archive:
        return [(m, archive.extractfile(m).read()) for m in archive]  # type: ignore[union-attr]


def write(path: Path, members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> None:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))


def member(name: str, data: bytes = b"", **about: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    for key, value in about.items():
        setattr(info, key, value)
    return info, data


def replaced(members: Members, *, by: Members) -> Members:
    """Other ones in the place of the weights."""
    place = next(number for number, (info, _) in enumerate(members) if info.name == WEIGHTS)
    return [*members[:place], *by, *members[place + 1 :]]


ARCHIVES: dict[str, Callable[[Members], Members]] = {
    "a symbolic link": lambda m: replaced(m, by=[member(WEIGHTS, type=tarfile.SYMTYPE, linkname="/etc/shadow")]),
    "a hard link": lambda m: replaced(m, by=[member(WEIGHTS, type=tarfile.LNKTYPE, linkname="/etc/shadow")]),
    "a device": lambda m: replaced(m, by=[member(WEIGHTS, type=tarfile.CHRTYPE, devmajor=1, devminor=5)]),
    "a pipe": lambda m: replaced(m, by=[member(WEIGHTS, type=tarfile.FIFOTYPE)]),
    "a path out of its folder": lambda m: replaced(m, by=[member(f"../{WEIGHTS}", BIG)]),
    "an absolute name": lambda m: replaced(m, by=[member(f"/{WEIGHTS}", BIG)]),
    "one name twice": lambda m: [*m, m[-1]],
    "a file more": lambda m: [*m, member("evil.sh", b"rm -rf /")],
    "a file less": lambda m: m[:-1],
    "another order": lambda m: [*m[:-2], m[-1], m[-2]],
    "a program": lambda m: replaced(m, by=[member(WEIGHTS, BIG, mode=0o4755)]),
    "a size that is not there": lambda m: replaced(m, by=[member(WEIGHTS, BIG[:-1])]),
}


def test_an_archive_that_differs_in_form_is_refused(desk: Desk) -> None:
    desk.create("b.tar")
    made = read(Path("b.tar"))
    for name, change in ARCHIVES.items():
        write(Path("b.tar"), change(made))
        assert desk.run("bundle", "load", "b.tar", exit=1) == {"bad-bundle"}, name
        assert desk.stored() == [], name
    assert desk.run("apply", "--bundle", "b.tar", "-y", exit=1) == {"bad-bundle"}
    write(Path("b.tar"), made)
    whole = Path("b.tar").read_bytes()
    for place in (len(whole) - 1, whole.rindex(b"}") + 10):
        Path("b.tar").write_bytes(whole[:place] + b"#" + whole[place + 1 :])
        assert desk.run("bundle", "load", "b.tar", exit=1) == {"bad-bundle"}
        assert "hides behind" in desk.said
    Path("b.tar").write_bytes(whole)
    desk.run("bundle", "load", "b.tar")


def damage(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


def test_a_flipped_bit_is_found_and_its_part_is_named(desk: Desk) -> None:
    desk.create("b.tar", "--split", "1m")
    damage(desk.outside / "b.tar.part-2-of-3", 500_000)
    assert desk.run("bundle", "load", "b.tar", exit=1) == {"bundle-tampered"}
    assert "b.tar.part-2-of-3" in desk.said
    assert desk.stored() == []
    assert desk.run("bundle", "inspect", "b.tar", "--check", exit=1) == {"bundle-tampered"}
    damage(desk.outside / "b.tar.part-2-of-3", 500_000)
    desk.run("bundle", "load", "b.tar")


def test_a_part_that_is_missing_short_or_of_another_bundle_is_named(desk: Desk) -> None:
    desk.create("b.tar", "--split", "1m")
    last = desk.outside / "b.tar.part-3-of-3"
    whole = last.read_bytes()
    last.unlink()
    assert desk.run("bundle", "load", "b.tar", exit=1) == {"bad-bundle"}
    assert "`b.tar.part-3-of-3` is missing" in desk.said
    last.write_bytes(whole[:-5000])
    assert desk.run("bundle", "load", "b.tar", exit=1) == {"bad-bundle"}
    assert "`b.tar.part-3-of-3` ends with 5000 bytes fewer" in desk.said
    last.write_bytes(whole)
    (desk.outside / "b.tar.part-1-of-2").write_bytes(b"")
    assert desk.run("bundle", "load", "b.tar", exit=1) == {"bad-bundle"}
    assert desk.stored() == []


def test_a_folder_of_links_pipes_and_changed_files_is_refused(desk: Desk, tmp_path: Path) -> None:
    desk.create("b")
    weights, elsewhere = desk.outside / "b" / WEIGHTS, tmp_path / "elsewhere"
    weights.rename(elsewhere)
    weights.symlink_to(elsewhere)
    assert desk.run("bundle", "load", "b", exit=1) == {"bad-bundle"}
    weights.unlink()
    assert desk.run("bundle", "load", "b", exit=1) == {"bad-bundle"}
    os.mkfifo(weights)
    assert desk.run("bundle", "load", "b", exit=1) == {"bad-bundle"}
    weights.unlink()
    weights.write_bytes(BIG[::-1])
    assert desk.run("bundle", "load", "b", exit=1) == {"bundle-tampered"}
    assert desk.run("apply", "--bundle", "b", "-y", exit=1) == {"bundle-tampered"}
    weights.unlink()
    elsewhere.rename(weights)
    blobs = desk.outside / "b/blobs"
    blobs.rename(tmp_path / "blobs")
    blobs.symlink_to(tmp_path / "blobs")
    assert desk.run("bundle", "load", "b", exit=1) == {"bad-bundle"}
    assert desk.stored() == []


def test_an_index_that_was_changed_after_it_was_signed_is_refused_whatever_is_allowed(desk: Desk) -> None:
    desk.create("b")
    index = desk.outside / "b/bundle.json"
    index.write_bytes(index.read_bytes().replace(b'"sequence": 2026', b'"sequence": 2027'))
    everything = ("--allow-unsigned", "--allow-unknown-signer", "--allow-older")
    assert desk.run("bundle", "load", "b", *everything, exit=3) == {"bad-signature"}
    (desk.outside / "b/bundle.json.sig").write_bytes(b"not a signature")
    assert desk.run("bundle", "load", "b", *everything, exit=3) == {"bad-signature"}
    assert desk.stored() == []


def test_a_size_that_no_disk_has_is_refused_before_anything_is_written(desk: Desk) -> None:
    """By somebody whose signature is good."""
    desk.create("b")
    index = desk.outside / "b/bundle.json"
    data = json.loads(index.read_bytes())
    data["contents"][0]["size"] = 1 << 49
    index.write_text(json.dumps(data))
    argv = ["ssh-keygen", "-Y", "sign", "-f", str(desk.home / ".ssh/id_ed25519"), "-n", "deployer-bundle"]
    signed = subprocess.run(argv, input=index.read_bytes(), capture_output=True, check=True, timeout=30)
    index.with_name("bundle.json.sig").write_bytes(signed.stdout)
    with (desk.outside / "b" / data["contents"][0]["path"]).open("r+b") as file:
        os.truncate(file.fileno(), 1 << 42)
    assert desk.run("bundle", "load", "b", exit=1) == {"bad-bundle"}
    assert desk.stored() == []


def test_who_signed_decides_and_the_flag_that_allows_it_is_named(desk: Desk, make_another: Callable[[], Path]) -> None:
    desk.create("unsigned.tar", "--unsigned")
    assert desk.run("bundle", "load", "unsigned.tar", exit=3) == {"bundle-unsigned"}
    assert "--allow-unsigned" in desk.said
    assert desk.run("bundle", "load", "unsigned.tar", "--allow-unknown-signer", exit=3) == {"bundle-unsigned"}
    desk.create("strange.tar", "--key", str(make_another()))
    assert desk.run("bundle", "load", "strange.tar", exit=3) == {"unknown-signer"}
    assert "--allow-unknown-signer" in desk.said
    assert desk.run("bundle", "inspect", "strange.tar")["signature"]["trust"] == "unknown"
    assert desk.stored() == []
    desk.run("bundle", "load", "strange.tar", "--allow-unknown-signer")


@pytest.mark.parametrize("options", ['namespaces="git" ', 'valid-before="20200101" '])
def test_a_signer_is_known_only_for_what_the_file_of_signers_says(desk: Desk, options: str) -> None:
    desk.create("b")
    public = (desk.home / ".ssh/id_ed25519.pub").read_text()
    (desk.home / ".ssh/allowed_signers").write_text(f"ops {options}{public}")
    assert desk.run("bundle", "load", "b", exit=3) == {"unknown-signer"}


def test_an_older_bundle_and_a_second_one_of_the_same_number_are_refused(desk: Desk) -> None:
    desk.create("three", "--sequence", "3")
    desk.create("four.tar", "--sequence", "4")
    Path("deploy.yaml").write_text(Path("deploy.yaml").read_text() + "\n")
    desk.create("another-four", "--sequence", "4")
    desk.run("bundle", "load", "four.tar")
    desk.run("bundle", "load", "four.tar")
    for path in ("three", "another-four"):
        assert desk.run("bundle", "load", path, exit=3) == {"bundle-older"}
        assert "--allow-older" in desk.said
        assert desk.run("apply", "--bundle", path, "-y", exit=3) == {"bundle-older"}
    desk.run("bundle", "load", "three", "--allow-older")
    assert desk.run("bundle", "load", "another-four", exit=3) == {"bundle-older"}
    desk.run("bundle", "load", "another-four", "--allow-older")
    assert desk.run("bundle", "load", "four.tar", exit=3) == {"bundle-older"}


def test_what_is_no_bundle_is_said(desk: Desk) -> None:
    assert desk.run("bundle", "inspect", "nowhere", exit=1) == {"no-such-bundle"}
    Path("empty").mkdir()
    assert desk.run("bundle", "inspect", "empty", exit=1) == {"bad-bundle"}
    Path("text.tar").write_text("hello" * 1000)
    assert desk.run("bundle", "inspect", "text.tar", exit=1) == {"bad-bundle"}
    Path("short.tar").write_text("")
    assert desk.run("bundle", "inspect", "short.tar", exit=1) == {"bad-bundle"}
