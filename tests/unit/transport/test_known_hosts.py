"""known_hosts as sshd(8) describes it."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.transport.knownfiles import KnownFile, load_known_hosts
from deployer.transport.knownhosts import (
    KnownKey,
    Trust,
    authorities,
    bare_name,
    fingerprint,
    judge,
    key_kind,
    known_kinds,
    matches,
    parse_known_hosts,
)


def blob(kind: str, content: bytes) -> bytes:
    name = kind.encode()
    return len(name).to_bytes(4, "big") + name + len(content).to_bytes(4, "big") + content


ED, ED2 = blob("ssh-ed25519", b"a" * 32), blob("ssh-ed25519", b"b" * 32)
EC = blob("ecdsa-sha2-nistp256", b"c" * 65)


def hashed(name: str) -> str:
    salt = b"0123456789abcdefghij"
    code = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(code).decode()}"


def known(*lines: str) -> tuple[KnownKey, ...]:
    """Lines as `PATTERNS ed|ed2|ec`, with a marker before where there is one."""
    keys = {"ed": ("ssh-ed25519", ED), "ed2": ("ssh-ed25519", ED2), "ec": ("ecdsa-sha2-nistp256", EC)}
    text = []
    for line in lines:
        before, _, key = line.rpartition(" ")
        kind, data = keys[key]
        text.append(f"{before} {kind} {base64.b64encode(data).decode()} a comment")
    return parse_known_hosts("\n".join(text), "known_hosts")


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        ("gpu-a", "gpu-a", True),
        ("GPU-A", "gpu-a", True),
        ("gpu-a", "gpu-a.example", False),
        ("gpu-a,10.0.0.1", "10.0.0.1", True),
        ("gpu-*", "gpu-a", True),
        ("gpu-?", "gpu-ab", False),
        ("*.example,!bad.example", "good.example", True),
        ("*.example,!bad.example", "bad.example", False),
        ("!bad.example", "good.example", False),
        ("!bad.example,*.example", "bad.example", False),
        ("[gpu-a]:2222", "[gpu-a]:2222", True),
        ("[gpu-a]:2222", "gpu-a", False),
        ("gpu-a", "[gpu-a]:2222", False),
        ("[10.0.0.*]:22??", "[10.0.0.7]:2222", True),
        ("*", "[::1]:2222", True),
        ("[::1]:2222", "[::1]:2222", True),
        ("[abc]", "a", False),
        ("a.b", "axb", False),
        (hashed("gpu-a"), "gpu-a", True),
        (hashed("[gpu-a]:2222"), "[gpu-a]:2222", True),
        (hashed("gpu-a"), "gpu-b", False),
        ("|1|not base64|x", "gpu-a", False),
        ("|2|YQ==|YQ==", "gpu-a", False),
        ("|1|YQ==", "gpu-a", False),
        ("", "gpu-a", False),
    ],
)
def test_patterns(patterns: str, name: str, expected: bool) -> None:
    assert matches(patterns, name) is expected


@pytest.mark.parametrize(
    ("lines", "name", "key", "trust"),
    [
        ((), "h", ED, Trust.UNKNOWN),
        (("h ed",), "h", ED, Trust.KNOWN),
        (("h ed2",), "h", ED, Trust.CHANGED),
        (("h ed2", "h ed"), "h", ED, Trust.KNOWN),
        (("h ec",), "h", ED, Trust.CHANGED),
        (("other ed",), "h", ED, Trust.UNKNOWN),
        (("h ed", "@revoked h ed"), "h", ED, Trust.REVOKED),
        (("@revoked * ed", "h ed"), "h", ED, Trust.REVOKED),
        (("@revoked h ed2", "h ed"), "h", ED, Trust.KNOWN),
        (("@revoked h ed2",), "h", ED, Trust.UNKNOWN),
        (("@revoked other ed", "h ed"), "h", ED, Trust.KNOWN),
        (("@cert-authority h ed",), "h", ED, Trust.UNKNOWN),
        (("@cert-authority h ed2",), "h", ED, Trust.UNKNOWN),
        (("@something h ed",), "h", ED, Trust.UNKNOWN),
        (("[h]:2222 ed",), "[h]:2222", ED, Trust.KNOWN),
        (("h ed",), "[h]:2222", ED, Trust.KNOWN),  # as OpenSSH: `found matching key w/out port`
        (("h ed2",), "[h]:2222", ED, Trust.UNKNOWN),  # another server of that host
        (("[h]:2222 ed2", "h ed"), "[h]:2222", ED, Trust.KNOWN),
        (("[h]:2222 ed",), "h", ED, Trust.UNKNOWN),
        (("@revoked h ed", "[h]:2222 ed"), "[h]:2222", ED, Trust.REVOKED),
        ((f"{hashed('h')} ed",), "h", ED, Trust.KNOWN),
        ((f"{hashed('h')} ed2",), "h", ED, Trust.CHANGED),
        (("*,!h ed",), "h", ED, Trust.UNKNOWN),
    ],
)
def test_verdicts(lines: tuple[str, ...], name: str, key: bytes, trust: Trust) -> None:
    assert judge(known(*lines), name, key).trust is trust


def test_a_changed_key_names_the_line_of_its_kind() -> None:
    verdict = judge(known("h ec", "other ed", "h ed2"), "h", ED)
    assert verdict.line is not None
    assert verdict.line.where == "known_hosts:3"


def test_authorities_and_known_kinds() -> None:
    lines = known("@cert-authority *.lab ed", "h.lab ec", "h.lab ed2", "@revoked * ed", "[h.lab]:22 ed")
    assert [line.blob for line in authorities(lines, "h.lab")] == [ED]
    assert [line.blob for line in authorities(lines, "[h.lab]:2222")] == [ED]
    assert authorities(lines, "h.example") == ()
    assert known_kinds(lines, "h.lab") == ("ecdsa-sha2-nistp256", "ssh-ed25519")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "   ",
        "# comment",
        "h",
        "h ssh-ed25519",
        "h ssh-ed25519 not*base64",
        "@revoked h ssh-ed25519",
        "@other h ssh-ed25519 AAAA",
        "h 1024 35 1234",
    ],
)
def test_lines_that_say_nothing(line: str) -> None:
    lines = [found for found in parse_known_hosts(line, "f") if found.kind.startswith(("ssh-", "ecdsa-"))]
    assert lines == []


def test_the_fingerprint_is_ssh_keygens() -> None:
    # `ssh-keygen -lf` of this key
    key = base64.b64decode("AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl")
    assert fingerprint(key) == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
    assert key_kind(key) == "ssh-ed25519"


@given(st.text(max_size=300))
def test_any_text_parses(text: str) -> None:
    for line in parse_known_hosts(text, "f"):
        matches(line.patterns, "h")
        key_kind(line.blob)


@given(st.binary(max_size=100))
def test_any_blob_has_a_kind(data: bytes) -> None:
    assert isinstance(key_kind(data), str)


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    assert load_known_hosts([str(file)], "h") == ()
    file.write_text(f"h ssh-ed25519 {base64.b64encode(ED).decode()}\n")
    assert len(load_known_hosts([str(file), str(file)], "h")) == 2
    file.write_text(f"h ssh-ed25519 {base64.b64encode(ED).decode()}\n" * 3)
    assert len(load_known_hosts([str(file)], "h")) == 3


NAMES = st.sampled_from(("h", "[h]:22", "[h]:2222", "other", "10.0.0.1"))
PATTERNS = st.one_of(
    NAMES, NAMES.map(hashed), NAMES.map(lambda name: f"!{name},*"), st.sampled_from(("*", "H", "?", "h,other", "|1|x"))
)
LINES = st.lists(st.tuples(st.sampled_from(("", "@revoked ", "@cert-authority ")), PATTERNS), max_size=8)


@given(LINES, NAMES)
def test_the_lines_about_a_host_are_those_that_mean_it_in_their_order(lines: list[tuple[str, str]], name: str) -> None:
    all_lines = known(*(f"{marker}{patterns} ed" for marker, patterns in lines))
    names = {name, bare_name(name) or name}
    meant = [line for line in all_lines if any(matches(line.patterns, n) for n in names)]
    assert list(KnownFile.of(all_lines).about(names)) == meant
