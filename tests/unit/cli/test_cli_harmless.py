"""Commands that anybody's pull request may run: they start nothing, connect to nothing and read nothing elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from deployer.values.facts import DockerFacts, HostFacts, ObservedState, PathFact
from deployer.values.facts_json import facts_to_data
from tests.support.weightfiles import write_llama

REPOSITORY = Path(__file__).resolve().parents[3]
SPEC = """\
version: 1
project: demo
id: unit
hosts: {gpu-a: {address: 192.0.2.1, key: ~/.ssh/id_ed25519}}
secrets:
  one: {command: "touch made-by-a-command"}
  two: {file: /etc/passwd}
  three: {env: HOME}
models: {tiny: {source: "file:///srv/models/tiny.gguf"}}
services:
  chat: {model: tiny, options: {api_key: [{secret: one}]}, env: {A: {secret: two}, B: {secret: three}}}
"""
# Runs a command line and says what Python's audit hooks saw (the table of audit events in Python's documentation).
WATCHED = """
import json, os, sys
seen = []
STARTS = ("subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "os.fork", "os.forkpty", "pty.spawn")
NETWORK = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
def watch(event, arguments):
    if event in STARTS + NETWORK:
        seen.append([event, str(arguments)])
    elif event == "open" and isinstance(arguments[0], str):
        seen.append([event, os.path.realpath(arguments[0])])
from deployer.cli.app import run
sys.addaudithook(watch)
code = run(sys.argv[1:])
print(json.dumps([code, seen]), file=sys.stderr)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    host = HostFacts(
        "gpu-a", "gpu-a", "Debian", "6", "x86_64", 0, 0, "root", 8, 1, 1, "", DockerFacts("27", "1.47"),
        paths={"/srv/models/tiny.gguf": PathFact("/srv/models/tiny.gguf", "file", 1)},
    )  # fmt: skip
    (tmp_path / "deploy.yaml").write_text(SPEC)
    write_llama(tmp_path / "model")
    (tmp_path / "facts.json").write_text(json.dumps(facts_to_data(ObservedState({"gpu-a": host}))))
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ("validate",), ("schema",), ("render",), ("render", "--explain"), ("plan", "--facts", "facts.json"),
        ("plan", "--facts", "facts.json", "--markdown"), ("plan", "--facts", "facts.json", "--json"),
        ("estimate", "model", "--gpu", "H100"), ("estimate", "model/config.json"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_nothing_is_started_connected_to_or_read_elsewhere(folder: Path, command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *command], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    code, seen = json.loads(done.stderr.strip().splitlines()[-1])
    assert code == 0, done.stderr
    own = (REPOSITORY, Path(sys.prefix), Path(sys.base_prefix), Path(sysconfig.get_path("stdlib")), folder)
    allowed = tuple(str(path.resolve()) for path in own)
    assert [what for what in seen if what[0] != "open" or not what[1].startswith(allowed)] == []
    assert not (folder / "made-by-a-command").exists()
    asked = folder / ("model/config.json" if command[0] == "estimate" else "deploy.yaml")
    assert any(what == ["open", str(asked.resolve())] for what in seen) or command == ("schema",)
