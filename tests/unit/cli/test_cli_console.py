"""No encoding, no closed or full stream makes a traceback; colour only where it can be seen."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from deployer.cli.console import Console
from deployer.errors import DeployerError
from deployer.view.page import Page, Span, Style


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def page() -> Page:
    made = Page()
    made.line(Span("a → b", Style.CHANGED))
    return made


@pytest.mark.parametrize(("stream", "no_colour", "coloured"), [
    (Terminal(), False, True), (Terminal(), True, False), (io.StringIO(), False, False),
])  # fmt: skip
def test_colour(stream: io.StringIO, no_colour: bool, coloured: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    Console(stream, io.StringIO(), no_colour).result(page())
    assert ("\x1b[" in stream.getvalue()) is coloured


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert Console.of(no_colour=False).no_colour


def test_arrows_become_ascii_where_they_must() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, "ascii", errors="backslashreplace")
    Console(out, io.StringIO(), no_colour=True).result(page())
    assert raw.getvalue() == b"a -> b\n"


def test_a_full_disk_is_a_diagnostic_for_results_and_nothing_for_progress() -> None:
    console = Console(Full(), Full(), True)
    with pytest.raises(DeployerError) as caught:
        console.result(page())
    assert caught.value.diagnostics[0].code == "cannot-write"
    console.progress(page())
    console.progress_data("{}")


def run(folder: Path, shell: str) -> subprocess.CompletedProcess[str]:
    command = shell.replace("deployer", f"{sys.executable} -m deployer")
    return subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("shell", "code"),
    [
        ("deployer schema >&-", 0),
        ("deployer schema > /dev/full", 1),
        ("deployer validate 2>&-", 1),
        ("set -o pipefail; deployer schema | true", 1),
        ("LC_ALL=C PYTHONIOENCODING=ascii deployer schema > /dev/null", 0),
    ],
)
def test_streams_of_a_whole_process(tmp_path: Path, shell: str, code: int) -> None:
    done = run(tmp_path, shell)
    assert "Traceback" not in done.stderr
    assert "internal-error" not in done.stderr
    assert done.returncode == code
