"""A hub with a certificate of a private CA: refused with what to do, and believed once the CA is named."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub import Hub

ASK = """
import sys
from deployer.errors import OperationError
from deployer.spec.language import Model
from deployer.weights.access import Access
from deployer.weights.sources import list_source
for source in ("hf://org/name", "modelscope://org/name"):
    model = Model.model_validate({"source": source})
    try:
        found = list_source(model, {model.scheme: Access(sys.argv[1], hub=model.scheme)})
        print(len(found.files))
    except OperationError as error:
        print(error.diagnostic.code, f"`hubs.{model.scheme}.ca`" in error.diagnostic.hint)
"""


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    target = tmp_path / "hub.pem"
    subject = ["-subj", "/CN=hub.lan", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        f"{tmp_path}/key",
        "-out",
        str(target),
    ]
    subprocess.run([*made, *subject], check=True, capture_output=True, timeout=60)
    return target


@pytest.fixture
def hub(certificate: Path) -> Iterator[Hub]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key"))
    made = Hub(tls=context)
    made.repo("org/name", {"config.json": b"{}"})
    yield made
    made.close()


def asked(hub: Hub, **environment: str) -> list[str]:
    command = [sys.executable, "-c", ASK, hub.url]
    kept = {name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"}
    done = subprocess.run(command, env={**kept, **environment}, capture_output=True, timeout=60, check=True)
    return done.stdout.decode().splitlines()


def test_a_private_ca_is_believed_by_the_environment(hub: Hub, certificate: Path) -> None:
    assert asked(hub) == ["bad-certificate True"] * 2
    assert asked(hub, SSL_CERT_FILE=str(certificate)) == ["1", "1"]
