"""A locked project of a model of a hub on loopback, and a user with an SSH key whom everybody knows."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from deployer.cli.app import run
from deployer.view.output_schemas import output_schema
from deployer.weights.bundles import collecting
from tests.support.hub import Hub
from tests.support.hub import hub as running_hub
from tests.support.images import layer_tar, made_image
from tests.support.registryserver import RegistryServer, serving

BIG = random.Random(7).randbytes(2_500_000)
IMAGE = made_image(layer_tar("bin/stub", b"stub"), layer_tar("lib/big", random.Random(8).randbytes(200_000)))
FILES = {"config.json": b"{}", "m.gguf": BIG}


@dataclass
class Desk:
    """Where bundles are made and loaded: `outside` is the folder of the spec, `home` the user's."""

    outside: Path
    home: Path
    hub: Hub
    registry: RegistryServer
    capsys: pytest.CaptureFixture[str]

    def run(self, *argv: str, exit: int = 0) -> Any:
        """The JSON of a command; with another exit code the codes of its problems."""
        self.capsys.readouterr()
        code = run([*argv, "--json"])
        said = self.capsys.readouterr()
        assert code == exit, said.err
        data = json.loads(said.out)
        self.said = said.err
        if argv[0] == "bundle" and exit == 0:
            jsonschema.validate(data, output_schema("bundle"))
        return data if exit == 0 else {problem["code"] for problem in data["problems"]}

    def create(self, output: str, *more: str) -> Any:
        return self.run("bundle", "create", "-o", output, *more)

    @property
    def store(self) -> Path:
        return self.home / ".local/share/deployer/store"

    def stored(self) -> list[str]:
        """All files of the store."""
        return sorted(str(path.relative_to(self.store)) for path in self.store.rglob("*") if path.is_file())


def make_key(path: Path) -> str:
    """Makes an SSH key; its public half."""
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "somebody", "-f", str(path)]
    subprocess.run(argv, check=True, timeout=30)
    return path.with_name(f"{path.name}.pub").read_text()


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "id_ed25519"
    make_key(path)
    return path


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as made:
        made.repo("org/name", FILES)
        yield made


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with serving(RegistryServer()) as made:
        made.add("lab/llama:1", IMAGE)
        yield made


@pytest.fixture
def desk(
    hub: Hub,
    registry: RegistryServer,
    key: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Desk:
    made = Desk(tmp_path / "outside", tmp_path / "home", hub, registry, capsys)
    made.outside.mkdir()
    (made.home / ".ssh").mkdir(parents=True)
    for name in ("id_ed25519", "id_ed25519.pub"):
        (made.home / ".ssh" / name).write_bytes(key.with_name(name).read_bytes())
    (made.home / ".ssh/id_ed25519").chmod(0o600)
    (made.home / ".ssh/allowed_signers").write_text(f"ops {key.with_name('id_ed25519.pub').read_text()}")
    monkeypatch.setattr(collecting, "PAUSE", 0.01)
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "DEPLOYER_STORE", "SSH_AUTH_SOCK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(made.home))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1795344000")
    monkeypatch.chdir(made.outside)
    spec = {
        "version": 1,
        "project": "air",
        "id": "gap",
        "hosts": {"h1": {"address": "192.0.2.1", "cache_dir": str(tmp_path / "cache")}},
        "hubs": {"hf": {"endpoint": hub.url}},
        "models": {"m": {"source": "hf://org/name", "include": ["*.gguf", "*.json"]}},
        "services": {
            "chat": {
                "model": "m",
                "backend": "llama.cpp",
                "image": f"{registry.address}/lab/llama:1",
                "placement": {"gpus": "none"},
            }
        },
    }
    (made.outside / "deploy.yaml").write_text(json.dumps(spec))
    made.run("lock")
    return made


@pytest.fixture
def make_another(tmp_path: Path) -> Callable[[], Path]:
    """A key that nobody knows."""

    def make() -> Path:
        path = tmp_path / "stranger"
        make_key(path)
        return path

    return make
