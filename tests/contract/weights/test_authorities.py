"""A hub whose certificate a private CA signed, named in `hubs`: the controller and a host's curl believe it, besides
what they believe already, since hubs redirect to stores of files."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from deployer.dataclass import replace
from deployer.engine.context import ApplyContext, Site
from deployer.engine.hubs import Hubs, cas_for
from deployer.engine.secret_sources import SourceReader
from deployer.engine.secrets import SecretStore
from deployer.engine.watch import Watch
from deployer.engine.weights import fetch_weights
from deployer.errors import OperationError
from deployer.spec.language import Host, Model
from deployer.transport.local import LocalTransport
from deployer.values.resolved import Unresolved
from deployer.values.secrets import Secret
from deployer.values.transfers import FetchWeights
from deployer.values.weights import Listing, Manifest
from deployer.weights.bundles.collecting import Collector
from deployer.weights.push import push
from deployer.weights.script import Job, Peer, fetch_script
from deployer.weights.transfer import fetch
from tests.support.hub import Hub, sha256
from tests.support.planning import project_of

LARGE = bytes(range(256)) * 40
FILES = {"config.json": b'{"a": 1}', "model.safetensors": LARGE}
MODEL = Model.model_validate({"source": "hf://org/name"})
EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def openssl(*argv: str) -> None:
    subprocess.run(["openssl", *argv], check=True, capture_output=True, timeout=60)


def made_ca(folder: Path, name: str) -> Path:
    ca = folder / f"{name}.pem"
    openssl("req", "-x509", *EC, "-keyout", f"{ca}.key", "-out", str(ca), "-days", "2", "-subj", f"/CN={name}")
    return ca


def signed_by(ca: Path) -> ssl.SSLContext:
    """A server on loopback, with a certificate of that CA."""
    made = ca.with_name(f"server-of-{ca.name}")
    openssl("req", *EC, "-keyout", f"{made}.key", "-out", f"{made}.csr", "-subj", "/CN=hub.lan")
    made.with_suffix(".ext").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl(
        "x509", "-req", "-in", f"{made}.csr", "-CA", str(ca), "-CAkey", f"{ca}.key", "-CAcreateserial", "-days", "2",
        "-extfile", str(made.with_suffix(".ext")), "-out", str(made),
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, f"{made}.key")
    return context


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    return made_ca(tmp_path, "hub-ca")


@pytest.fixture
def hub(tmp_path: Path, ca: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Its large files are at a store whose CA is the system's."""
    system = made_ca(tmp_path, "system-ca")
    monkeypatch.setenv("SSL_CERT_FILE", str(system))
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)  # curl would look there first
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    hub, store = Hub(tls=signed_by(ca)), Hub(tls=signed_by(system))
    for each in (hub, store):
        each.repo("org/name", FILES)
    hub.store = store.url
    yield hub
    hub.close()
    store.close()


@pytest.fixture
def host() -> Iterator[LocalTransport]:
    made = LocalTransport("box", Host.model_validate({"connection": "local"}))
    yield made
    made.close()


def hubs(hub: Hub, folder: Path, **settings: str) -> Hubs:
    said = {name: {"endpoint": hub.url, **settings} for name in ("hf", "modelscope")}
    project = project_of({"chat": {}}, hubs=said)
    return Hubs(project.spec, SecretStore({}, SourceReader(folder, {}), {}), {}, folder)


def listed(asked: Hubs, model: Model = MODEL) -> Manifest:
    found = asked.listing(model)
    assert isinstance(found, Listing), found
    return Manifest(found.source, found.revision, found.commit, found.files)


def job(asked: Hubs, cache: Path) -> Job:
    manifest = listed(asked)
    cas = cas_for(asked.spec.hubs, asked.folder, manifest)
    return Job(str(cache), manifest, tries=1, cas=cas)


def silent(word: str, count: int) -> None:
    pass


@pytest.mark.parametrize("by", ["host", "controller"])
@pytest.mark.parametrize("scheme", ["hf", "modelscope"])
def test_both_ways_believe_a_hubs_ca_and_the_systems(
    hub: Hub, host: LocalTransport, ca: Path, tmp_path: Path, scheme: str, by: Literal["host", "controller"]
) -> None:
    asked, cache = hubs(hub, tmp_path, ca=ca.name), tmp_path / "cache"
    manifest = listed(asked, Model.model_validate({"source": f"{scheme}://org/name"}))
    context = ApplyContext("suite", None, "a1", asked.store, hubs=asked.spec.hubs, folder=tmp_path)
    fetch_weights(FetchWeights(str(cache), manifest, by), Site(context, host, Watch("1", "box", "fetch")))
    assert {path.name: path.read_bytes() for path in (cache / manifest.snapshot).iterdir()} == FILES
    assert not [path for path in cache.rglob("*") if path.is_file() and b"CERTIFICATE" in path.read_bytes()]
    assert not [*(tmp_path / "scratch").iterdir()], "nothing is left on the host"


def test_it_goes_with_a_token_after_peers_that_do_not_answer(
    hub: Hub, host: LocalTransport, ca: Path, tmp_path: Path
) -> None:
    known = job(hubs(hub, tmp_path, ca=ca.name), tmp_path / "cache")
    hub.repos["org/name"].token = "hf_secret"
    peers = tuple(Peer(name, "http://127.0.0.1:9", Secret(f"of-{name}")) for name in ("a", "b"))
    fetch(host, replace(known, tokens={"hf": Secret("hf_secret")}, peers=peers), silent)
    found = tmp_path / "cache" / known.manifest.snapshot
    assert {path.name: path.read_bytes() for path in found.iterdir()} == FILES


def test_the_lock_and_bundles_read_it_with_the_ca(hub: Hub, ca: Path, tmp_path: Path) -> None:
    asked = hubs(hub, tmp_path, ca=str(ca))
    hashed = asked.hashed(MODEL)
    assert {file.path: file.sha256 for file in hashed.files} == {name: sha256(data) for name, data in FILES.items()}
    manifest = Manifest(hashed.source, hashed.revision, hashed.commit, hashed.files)
    brought = tmp_path / "brought"
    brought.mkdir()
    collector = Collector(brought, lambda sha256: None, {}, cas_for(asked.spec.hubs, tmp_path, manifest))
    for file in manifest.files:
        collector.collect(file, "hf", lambda done: None)
    assert sorted(path.read_bytes() for path in brought.iterdir()) == sorted(FILES.values())


def test_without_it_both_ways_say_what_to_set(hub: Hub, host: LocalTransport, ca: Path, tmp_path: Path) -> None:
    unasked = hubs(hub, tmp_path).listing(MODEL)
    assert isinstance(unasked, Unresolved)
    assert "`hubs.hf.ca`" in str(unasked.hint)
    known = job(hubs(hub, tmp_path, ca=ca.name), tmp_path / "cache")
    for bring in (fetch, push):
        with pytest.raises(OperationError) as failed:
            bring(host, replace(known, cas={}), silent)
        assert failed.value.diagnostic.code == "bad-certificate"
        assert "`hubs.hf.ca`" in str(failed.value.diagnostic.hint)


def test_another_ca_is_not_enough(hub: Hub, host: LocalTransport, ca: Path, tmp_path: Path) -> None:
    known = job(hubs(hub, tmp_path, ca=ca.name), tmp_path / "cache")
    other = cas_for(hubs(hub, tmp_path, ca=made_ca(tmp_path, "other").name).spec.hubs, tmp_path, known.manifest)
    with pytest.raises(OperationError) as failed:
        fetch(host, replace(known, cas=other), silent)
    assert failed.value.diagnostic.code == "bad-certificate"
    assert "holds the CA that signed it" in str(failed.value.diagnostic.hint)


def test_only_certificates_leave_the_controller(hub: Hub, ca: Path, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text(Path(f"{ca}.key").read_text() + ca.read_text())
    script = fetch_script(job(hubs(hub, tmp_path, ca=both.name), tmp_path / "cache")).decode()
    assert "BEGIN CERTIFICATE" in script
    assert "PRIVATE KEY" not in script


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read here: No such file or directory"),
        ("-----BEGIN PRIVATE KEY-----\n", "holds no certificates"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds a certificate that cannot be read"),
        (" " * ((1 << 20) + 1), "is too large"),
    ],
)
def test_a_file_that_is_no_ca_is_named(hub: Hub, tmp_path: Path, content: str | None, why: str) -> None:
    if content is not None:
        (tmp_path / "wrong.pem").write_text(content)
    found = hubs(hub, tmp_path, ca="wrong.pem").listing(MODEL)
    assert isinstance(found, Unresolved)
    assert f"`{tmp_path}/wrong.pem`, the CA of hub `hf`, {why}" in found.reason
    assert "`hubs.hf.ca`" in str(found.hint)


def test_what_comes_from_no_hub_needs_no_ca(hub: Hub, ca: Path, tmp_path: Path) -> None:
    """As out of a bundle, with whose spec the file did not come."""
    asked = hubs(hub, tmp_path, ca=ca.name)
    manifest = listed(asked)
    local = replace(manifest, files=tuple(replace(file, url=f"/store/{file.blob}") for file in manifest.files))
    ca.unlink()
    assert cas_for(asked.spec.hubs, tmp_path, local) == {}
    with pytest.raises(OperationError):
        cas_for(asked.spec.hubs, tmp_path, manifest)
