"""Host certificates: read whatever comes, trust only what holds."""

from __future__ import annotations

import base64
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.transport.hostcert import HostCertificate, flaw, parse_certificate
from deployer.transport.knownhosts import KnownKey


@pytest.fixture(scope="module", params=["ed25519", "ecdsa", "rsa"])
def signed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, KnownKey]:
    """A certificate that ssh-keygen made, valid from 1000 to 2000 s of 2020, and its authority."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("no ssh-keygen here")
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("ca", "host"):
        subprocess.run(["ssh-keygen", "-q", "-t", request.param, "-N", "", "-f", folder / name], check=True)
    validity = "20200101000000Z:20200201000000Z"
    argv = [
        "ssh-keygen",
        "-q",
        "-s",
        folder / "ca",
        "-I",
        "id",
        "-h",
        "-n",
        "gpu-a,*.lab",
        "-V",
        validity,
        folder / "host.pub",
    ]
    done = subprocess.run(argv, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("this ssh-keygen knows no times in UTC")
    return read(folder / "host-cert.pub"), KnownKey("*", "", read(folder / "ca.pub"), "@cert-authority", "f", 1)


def read(path: Path) -> bytes:
    return base64.b64decode(path.read_text().split()[1])


NOW = 1578000000.0  # 2020-01-02


def test_a_good_certificate(signed: tuple[bytes, KnownKey]) -> None:
    blob, authority = signed
    certificate = parse_certificate(blob)
    assert certificate is not None
    assert certificate.principals == ("gpu-a", "*.lab")
    assert flaw(certificate, "gpu-a", [authority], NOW) is None
    assert flaw(certificate, "x.lab", [authority], NOW) is None


def test_every_flaw_counts(signed: tuple[bytes, KnownKey]) -> None:
    blob, authority = signed
    certificate = parse_certificate(blob)
    assert certificate is not None
    other = replace(authority, blob=authority.blob[:-1] + bytes([authority.blob[-1] ^ 1]))
    assert flaw(certificate, "gpu-a", [], NOW)
    assert flaw(certificate, "gpu-a", [other], NOW)
    assert flaw(certificate, "gpu-b", [authority], NOW)
    assert flaw(certificate, "gpu-a", [authority], NOW - 10**8)
    assert flaw(certificate, "gpu-a", [authority], NOW + 10**8)
    assert flaw(replace(certificate, kind=1), "gpu-a", [authority], NOW)
    assert flaw(replace(certificate, principals=()), "gpu-a", [authority], NOW)
    assert flaw(replace(certificate, critical=b"x"), "gpu-a", [authority], NOW)
    assert flaw(replace(certificate, signed=certificate.signed + b"x"), "gpu-a", [authority], NOW)
    assert flaw(replace(certificate, signature=certificate.signature[:-4] + b"nope"), "gpu-a", [authority], NOW)


def test_a_changed_byte_of_what_is_signed_is_noticed(signed: tuple[bytes, KnownKey]) -> None:
    blob, authority = signed
    whole = parse_certificate(blob)
    assert whole is not None
    for at in range(0, len(whole.signed), 3):
        changed = parse_certificate(blob[:at] + bytes([blob[at] ^ 0x41]) + blob[at + 1 :])
        assert changed is None or flaw(changed, "gpu-a", [authority], NOW) is not None


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(blob: bytes) -> None:
    kind = b"ssh-ed25519-cert-v01@openssh.com"
    for data in (blob, len(kind).to_bytes(4, "big") + kind + blob):
        certificate = parse_certificate(data)
        assert certificate is None or flaw(certificate, "gpu-a", [], NOW)
        assert certificate is None or isinstance(certificate, HostCertificate)
