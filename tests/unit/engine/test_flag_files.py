"""What images said of their flags: written whole, read by the probe, from anybody."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from deployer.engine.flag_files import FORMAT, KEPT, MAX_FILE, parse_flag_file, write_flags
from deployer.engine.probe import parse_probe, probe_script
from deployer.values.facts import ImageFlags
from deployer.values.names import STATE_DIR
from tests.support.fakehost import CutOff, FakeHost

IMAGE = "sha256:" + "5f" * 32
FLAGS = ("--ctx-size", "--port", "--tp_size", "-c")


@pytest.fixture
def host() -> Iterator[FakeHost]:
    made = FakeHost()
    yield made
    made.close()


def probed(host: FakeHost) -> tuple[ImageFlags, ...]:
    script = probe_script("mark", (), gpus=False).decode()
    moved = script.replace(f"STATE={shlex.quote(STATE_DIR)}", f"STATE={shlex.quote(str(host.state_dir))}")
    said = subprocess.run(["sh", "-s"], input=moved.encode(), capture_output=True, check=True, timeout=60)
    return parse_probe(said.stdout, "mark", ()).image_flags


def folder(host: FakeHost) -> Path:
    return host.state_dir / "image_flags"


def test_what_is_written_is_read_back(host: FakeHost) -> None:
    assert write_flags(host, IMAGE, FLAGS)
    (found,) = probed(host)
    assert (found.image, found.flags) == (IMAGE, FLAGS)
    assert found.asked.endswith("Z")
    assert [path.name for path in folder(host).iterdir()] == ["5f" * 32]


def test_flags_of_a_connection_that_died_are_not_kept() -> None:
    with closing(CutOff()) as host:
        assert not write_flags(host, IMAGE, FLAGS)
        assert list(folder(host).iterdir()) == []


def test_images_that_were_asked_long_ago_are_forgotten(host: FakeHost) -> None:
    folder(host).mkdir(parents=True)
    (folder(host) / "note").write_text("of somebody")
    for number in range(KEPT + 5):
        assert write_flags(host, f"sha256:{number:064x}", FLAGS)
    assert len(list(folder(host).iterdir())) == KEPT + 1
    assert 0 < len(probed(host)) < KEPT


def test_more_flags_than_the_probe_reads_are_not_kept(host: FakeHost) -> None:
    assert not write_flags(host, IMAGE, [f"--flag-{number:070}" for number in range(400)])
    assert not folder(host).exists()


def test_a_host_that_cannot_keep_it(host: FakeHost) -> None:
    host.state_dir.mkdir()
    folder(host).write_text("")
    assert not write_flags(host, IMAGE, FLAGS)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("5f", f"{FORMAT} 2026-01-01T00:00:00Z\n--a\n"),
        ("5f" * 32, "--a\n"),
        ("5f" * 32, f"{FORMAT} yesterday\n--a\n"),
        ("5f" * 32, f"{FORMAT} 2026-01-01T00:00:00Z\n"),
        ("5f" * 32, f"{FORMAT} 2026-01-01T00:00:00Z\n--a \x1b[31m--b\n"),
        ("5f" * 32, f"{FORMAT} 2026-01-01T00:00:00Z\n" + "--a\n" * MAX_FILE),
        ("5f" * 32, ""),
    ],
)
def test_what_is_not_of_that_form_is_not_believed(name: str, body: str) -> None:
    assert parse_flag_file((name,), body.encode()) is None
