"""What hosts say is shown bounded and harmless; sudo's refusals are told from its warnings."""

from __future__ import annotations

import errno
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.transport.complaints import failure, is_dropped
from deployer.transport.engine import EngineDoor, diagnose
from deployer.transport.failures import TAIL_LINES, TAIL_WIDTH, cause_of, one_line, sudo_refusal, tail


@given(st.binary(max_size=3000))
def test_a_tail_is_small_and_plain(output: bytes) -> None:
    lines = tail(output)
    assert len(lines) <= TAIL_LINES
    for line in lines:
        assert len(line) <= TAIL_WIDTH
        assert not any((c < " " and c != "\t") or "\x7f" <= c <= "\x9f" for c in line)


def test_a_tail_keeps_the_last_lines() -> None:
    assert tail(b"\n".join(b"%d" % n for n in range(100)))[-1] == "99"
    assert "\x1b" not in tail(b"\x1b[2J\x1b]0;title\x07 red")[0]


@given(st.text(max_size=1000))
def test_one_line_is_one_line(text: str) -> None:
    assert "\n" not in one_line(text)
    assert len(one_line(text)) <= TAIL_WIDTH


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "connection refused"),
        (OSError(errno.EHOSTUNREACH, "x"), "no route to host"),
        (TimeoutError(), "no answer"),
        (socket.gaierror(-2, "Name or service not known"), "the name does not resolve"),
        (OSError(), "OSError"),
    ],
)
def test_causes(error: OSError, words: str) -> None:
    assert cause_of(error) == words


@pytest.mark.parametrize(
    "stderr",
    [
        b"sudo: a password is required\n",
        b"sudo: a terminal is required to read the password; either use the -S option...\n",
        b"sudo: no tty present and no askpass program specified\n",
        b"guest is not in the sudoers file.  This incident will be reported.\n",
        b"Sorry, user guest is not allowed to execute '/bin/true' as root on gpu-a.\n",
        b"sh: 1: exec: sudo: not found\n",
        b"bash: line 1: sudo: command not found\n",
        b"sudo: No such file or directory\n",
        b"sudo: unable to resolve host gpu-a: Name or service not known\nsudo: a password is required\n",
        b"sudo: effective uid is not 0, is /usr/bin/sudo on a file system with the 'nosuid' option set?\n",
    ],
)
def test_refusals_of_sudo(stderr: bytes) -> None:
    assert sudo_refusal(stderr)


@pytest.mark.parametrize(
    "stderr",
    [
        b"",
        b"cat: x: No such file or directory\n",
        b"sudo: unable to resolve host gpu-a: Name or service not known\ngrep: x: Is a directory\n",
        b"sudo: docker: command not found\n",
        b"permission denied while trying to connect to the Docker daemon socket\n",
    ],
)
def test_not_refusals_of_sudo(stderr: bytes) -> None:
    assert sudo_refusal(stderr) is None


class Door:
    host = "gpu-a"
    path = "/var/run/docker.sock"


@pytest.mark.parametrize(
    ("seen", "no_cli", "code"),
    [
        ({"socket": "no", "access": "no", "user": "ops"}, False, "docker-missing"),
        ({"socket": "no", "access": "no", "user": "ops", "cli": "yes"}, False, "docker-down"),
        ({"socket": "no", "access": "no", "daemon": "yes"}, False, "docker-down"),
        ({"socket": "yes", "access": "no", "user": "ops", "cli": "yes"}, False, "docker-denied"),
        ({"socket": "yes", "access": "yes", "user": "ops", "cli": "yes"}, False, "docker-down"),
        ({"socket": "yes", "access": "yes", "user": "ops", "answers": "yes"}, False, "docker-missing"),
        ({"socket": "yes", "access": "yes", "user": "ops"}, True, "docker-missing"),
        ({"socket": "yes", "access": "yes", "cli": "yes", "answers": "yes"}, False, "docker-down"),
        ({"socket": "no-socket", "access": "yes", "cli": "yes"}, False, "docker-down"),
        ({}, False, "docker-down"),
    ],
)
def test_why_there_is_no_engine(seen: dict[str, str], no_cli: bool, code: str) -> None:
    door: EngineDoor = Door()  # type: ignore[assignment]
    diagnostic = diagnose(door, seen, ("words",), no_cli)
    assert diagnostic.code == code
    assert diagnostic.host == "gpu-a"
    assert diagnostic.hint


OLD_KEY = b"""@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
Offending ED25519 key in /k:3
Host key verification failed.
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (OLD_KEY, "host-key-changed"),
        (b"No ED25519 host key is known for h and you have requested strict checking.\n", "host-key-unknown"),
        (
            b"@ WARNING: REVOKED HOST KEY DETECTED! @\nThe ED25519 host key for h is marked as revoked.\n",
            "host-key-revoked",
        ),
        (b"ops@h: Permission denied (publickey).\n", "auth-refused"),
        (b"Received disconnect from h: Too many authentication failures\n", "auth-refused"),
        (b"ssh: connect to host h port 22: Connection refused\n", "unreachable"),
        (b"ssh: Could not resolve hostname h: Name or service not known\n", "unreachable"),
        (b"", "unreachable"),
        (b"\xff\x1b[0m", "unreachable"),
    ],
)
def test_what_ssh_says(words: bytes, code: str) -> None:
    diagnostic = failure("gpu-a", "h", words).diagnostic
    assert diagnostic.code == code
    assert diagnostic.host == "gpu-a"


@pytest.mark.parametrize(
    ("words", "dropped"),
    [
        (b"kex_exchange_identification: Connection closed by remote host\n", True),
        (b"kex_exchange_identification: read: Connection reset by peer\n", True),
        (b"Connection reset by 10.0.0.1 port 22\n", True),
        (
            b"Stdio forwarding request failed: Session open refused by peer\r\n"
            b"kex_exchange_identification: Connection closed by remote host\r\n",
            False,  # a jump host's word on the host behind it
        ),
        (b"ssh: connect to host h port 22: Connection refused\n", False),
        (b"ssh: connect to host h port 22: Connection timed out\n", False),
    ],
)
def test_drops_of_max_startups(words: bytes, dropped: bool) -> None:
    assert is_dropped(words) is dropped
