"""An argv and its shell line mean the same."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.errors import OperationError
from deployer.transport.quoting import checked_argv, command_line, kill_line, with_become, without_pid

words = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=40)
argvs = st.lists(words, min_size=1, max_size=8)


@given(argvs)
def test_a_shell_reads_back_the_argv(argv: list[str]) -> None:
    line = command_line(argv)
    assert shlex.split(line.partition("; exec ")[2]) == argv


@given(argvs)
def test_sudo_stands_before_and_options_end(argv: list[str]) -> None:
    line = command_line(argv, "sudo")
    assert shlex.split(line.partition("; exec ")[2]) == ["sudo", "-n", "--", *argv]


@settings(max_examples=60, deadline=None)
@given(st.lists(words.filter(lambda w: "\n" not in w), max_size=5))
def test_a_real_shell_passes_every_word_on(arguments: list[str]) -> None:
    line = command_line(["sh", "-c", 'for a in "$@"; do printf "%s\\n" "$a"; done', "sh", *arguments])
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=True)
    assert done.stdout == "".join(f"{word}\n" for word in arguments).encode()


@given(st.lists(words, max_size=4), st.integers(0, 4))
def test_nul_is_refused_and_its_word_not_shown(argv: list[str], at: int) -> None:
    argv = ["echo", *argv]
    argv.insert(min(at + 1, len(argv)), "hunter2\0")
    with pytest.raises(OperationError) as caught:
        command_line(argv)
    assert caught.value.diagnostic.code == "bad-argument"
    assert "hunter2" not in str(caught.value)


def test_half_a_surrogate_pair_is_refused_and_escaped_bytes_are_not() -> None:
    with pytest.raises(OperationError):
        command_line(["echo", "\ud800"])
    assert command_line(["echo", "\udcff"]).endswith("'\udcff'")


def test_an_empty_argv_is_refused() -> None:
    with pytest.raises(OperationError):
        checked_argv([])


def test_become_is_only_added_when_asked_for() -> None:
    assert with_become(["id"], None) == ["id"]
    assert with_become(["id"], "sudo") == ["sudo", "-n", "--", "id"]


def test_the_process_id_is_taken_out_of_stderr() -> None:
    done = subprocess.run(["/bin/sh", "-c", command_line(["sh", "-c", "echo $$; echo oops >&2"])], capture_output=True)
    pid, words_ = without_pid(done.stderr)
    assert pid == int(done.stdout)
    assert words_ == b"oops\n"


@pytest.mark.parametrize(
    ("stderr", "pid", "rest"),
    [
        (b"", None, b""),
        (b"deployer-pid 12\n", 12, b""),
        (b"motd\ndeployer-pid 12\nerror\n", 12, b"motd\nerror\n"),
        (b"deployer-pid 12\ndeployer-pid 13\n", 12, b"deployer-pid 13\n"),
        (b"a deployer-pid 12\n", None, b"a deployer-pid 12\n"),
        (b"deployer-pid 1; reboot\n", None, b"deployer-pid 1; reboot\n"),
        (b"deployer-pid -1\n", None, b"deployer-pid -1\n"),
        (b"deployer-pid 0\n", None, b"deployer-pid 0\n"),
        (b"deployer-pid 12", None, b"deployer-pid 12"),
    ],
)
def test_only_a_whole_line_is_a_process_id(stderr: bytes, pid: int | None, rest: bytes) -> None:
    assert without_pid(stderr) == (pid, rest)


def test_the_kill_line_ends_a_group() -> None:
    child = subprocess.Popen(["sh", "-c", "sleep 300; true"], start_new_session=True)
    subprocess.run(["/bin/sh", "-c", kill_line(child.pid)], capture_output=True, check=False)
    assert child.wait(5) < 0
