"""A registry with a certificate of a private CA: the CA that is named for it counts, whatever the environment says."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from deployer.errors import OperationError
from deployer.images.access import Access
from deployer.images.registry import RegistryReader
from tests.support.images import layer_tar, made_image
from tests.support.registryserver import RegistryServer, serving

IMAGE = made_image(layer_tar("base", b"base"))


def certificate(folder: Path, name: str) -> Path:
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem", "-days", "2"]
    argv += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
    return folder / f"{name}.pem"


def test_the_ca_of_a_registry_counts_beside_those_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = certificate(tmp_path, "ours"), certificate(tmp_path, "other")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ours, ours.with_suffix(".key"))
    with serving(RegistryServer(), context) as registry:
        registry.add("models/stub:1", IMAGE)
        name, endpoint = f"{registry.address}/models/stub:1", f"https://{registry.address}"
        with RegistryReader(Access(registry.address, endpoint, ca=str(ours))) as known:
            assert known.resolve(name).digest == IMAGE.digest
        monkeypatch.setenv("SSL_CERT_FILE", str(ours))  # the system's certificates
        with RegistryReader(Access(registry.address, endpoint, ca=str(other))) as known:
            assert known.resolve(name).digest == IMAGE.digest
        monkeypatch.delenv("SSL_CERT_FILE")
        with (
            RegistryReader(Access(registry.address, endpoint, ca=str(other))) as known,
            pytest.raises(OperationError) as failed,
        ):
            known.resolve(name)
        assert failed.value.diagnostic.code == "registry-certificate"
