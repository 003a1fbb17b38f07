"""Secrets of every source, delivered in every way, through a whole life: all commands, also those that fail. Canaries
are in nothing that is shown, in no file, label or journal, and in no process's arguments, here and on the hosts."""

from __future__ import annotations

import base64
import re
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from labkit.hosts import Lab
from labkit.project import HEAD, Project

pytestmark = pytest.mark.heavy
HOST = "lab1"
SOURCES = ("by_env", "by_dotenv", "by_file", "by_command", "registry", "hub")
OWN = ("keys", ".env", ".ssh")  # where the user has them
SPEC = """\
secrets:
  by_env: {env: LAB_KEY}
  by_dotenv: {env: LAB_DOTENV}
  by_file: {file: ./keys/file.txt}
  by_command: {command: "cat keys/command.txt"}
  registry: {env: LAB_REGISTRY}
  hub: {env: LAB_HUB}
registries:
  GATEWAY:5000: {plain_http: true}
  GATEWAY:5001: {username: lab, password: {secret: registry}, plain_http: true}
  ECHO: {username: lab, password: {secret: registry}, plain_http: true}
hubs: {hf: {endpoint: "http://ECHO", token: {secret: hub}}}
hosts: {lab1: {}}
services:
  chat:
    model: tiny
    env: {ONE: {secret: by_env}, TWO: {secret: by_dotenv}}
    options: {api_key: [{secret: by_command}, {secret: by_file}]}
    container: {secret_files: {/run/secrets/key: by_file}}
"""
TELLS_ALL = """    image: busybox:1
    health: {ready_timeout: 20s}
    container:
      entrypoint: [sh, -c, "env; cat /run/secrets/key; sleep 3; exit 3"]
      secret_files: {/run/secrets/key: by_file}
"""
FAR = HEAD.replace("models:\n", "models:\n  far: {source: 'hf://org/far'}\n")
FIRST = """validate -v; render; render --explain; schema; lock -v; plan -v; plan --json; plan --steps; plan --markdown
plan -o plan.json; plan --html plan.html; apply plan.json -y -v; status -v; status --json; verify -v; verify --json
query chat hello -v; query chat hello --json; logs chat -v; exec chat env; exec --json chat cat /run/secrets/key
facts -v; facts -o facts.json; doctor -v; doctor --json
doctor --flags; plan --facts facts.json; plan --facts facts.json --json; cache ls; cache verify --json; cache pull
history -v; history --json; bundle create -o all.tar -v; bundle inspect all.tar; bundle inspect all.tar --json"""
LATER = "plan -v; plan --json; apply -y -v; status -v; history -v; logs chat --tail 50"
BAD = (
    "secrets: {by_env: CANARY}\n",
    "registries: {r.io: {username: lab, password: CANARY}}\n",
    "services: {chat: {model: tiny, nev: {API_KEY: CANARY}}}\n",
    "services: {chat: {model: tiny, options: {api_key: CANARY}}}\n",
    "services: {chat: {model: tiny, env: {API_KEY: CANARY, : }}}\n",
    "services: {chat: {model: tiny, args: [--api-key, CANARY, {}]}}\n",
)
EVERYWHERE = "/etc /var/lib /var/log /var/tmp /root /home /srv /opt /mnt /usr/local/bin /run /tmp /dev/shm"
DOCKERS = "! -path '*/docker/*' ! -path '*/containerd/*'"  # its own: who may use it reads what containers have
# the log of dockerd is Docker's too: a registry that repeats what it was told is in it
SEARCH = """cat > /run/words; export LC_ALL=C
NOT="! -path /run/dockerd.log ! -path /var/lib/dpkg/* ! -path /var/lib/deployer-lab/* ! -path /srv/models/*"; set -f
find %s -xdev -type f ! -path /run/words $NOT -size -2000k %s -print0 2>/dev/null |
xargs -0 grep -laF -f /run/words -- 2>/dev/null
rm /run/words"""


class Echo(BaseHTTPRequestHandler):
    """A hub and registry that fails, and says all that it was told."""

    def do_GET(self) -> None:
        body = f'{{"errors": [{{"code": "UNKNOWN", "message": "{" ".join(self.headers.values())}"}}]}}'.encode()
        self.send_response(403 if "Authorization" in self.headers else 401)
        self.send_header("Www-Authenticate", "Basic realm=lab")
        self.send_header("X-Error-Message", str(self.headers.get("Authorization")))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.command == "GET" else b"")

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def echoing(lab: Lab) -> Iterator[str]:
    server = ThreadingHTTPServer((f"{lab.network}.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{lab.network}.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def spellings(canary: str) -> set[str]:
    """As it is, and as base64 of a longer text shows it."""
    found = {canary.encode().hex(), canary}
    for offset in range(3):
        found.add(base64.b64encode(b"x" * offset + canary.encode())[4:-4].decode())
    return found


class Sampler(threading.Thread):
    """Looks for words in the arguments of every process, the hosts' included, again and again."""

    def __init__(self, words: set[str]) -> None:
        super().__init__(daemon=True)
        self.pattern = re.compile("|".join(map(re.escape, words)).encode())
        self.seen: set[bytes] = set()
        self.looks = 0
        self.ends = threading.Event()

    def run(self) -> None:
        while not self.ends.wait(0.1):
            self.looks += 1
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    self.look(entry / "cmdline")

    def look(self, path: Path) -> None:
        try:
            arguments = path.read_bytes()
        except OSError:
            return
        if self.pattern.search(arguments):
            self.seen.add(arguments[:400])


@contextmanager
def sampled(words: set[str]) -> Iterator[None]:
    sampler = Sampler(words)
    sampler.start()
    try:
        yield
    finally:
        sampler.ends.set()
        sampler.join()
    assert sampler.looks > 10
    assert sampler.seen == set(), "no secret may be in a process's arguments"


def furnished(project: Project, canaries: dict[str, str]) -> None:
    """The user's own places of secrets, and a home and a folder for temporary files that can be searched."""
    home, temporary, keys = (project.folder / name for name in ("home", "tmp", "keys"))
    for folder in (home / ".ssh", temporary, keys):
        folder.mkdir(parents=True)
    key = home / ".ssh/id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, timeout=30)
    (home / ".ssh/allowed_signers").write_text(f"ops {key.with_name('id_ed25519.pub').read_text()}")
    (keys / "file.txt").write_text(canaries["by_file"] + "\n")
    (keys / "command.txt").write_text(canaries["by_command"] + "\n")
    (project.folder / ".env").write_text(f"LAB_DOTENV='{canaries['by_dotenv']}'\n")
    project.environment |= {"HOME": str(home), "TMPDIR": str(temporary), "LAB_KEY": canaries["by_env"]}
    project.environment |= {"LAB_REGISTRY": canaries["registry"], "LAB_HUB": canaries["hub"]}


def live(project: Project, commands: str, exit: int | None = None) -> None:
    for command in re.split(r"[;\n]\s*", commands):
        project.run(*command.split(), exit=exit, timeout=300)


def watch_a_little(project: Project) -> None:
    process = project.start("watch", "--interval", "2s", "-v")
    time.sleep(8)
    project.interrupt(process, signal.SIGTERM)
    project.finish(process, "watch", exit=None)


def files_with(folder: Path, pattern: re.Pattern[bytes]) -> list[str]:
    """But for those of the user's own."""
    files = (p for p in folder.rglob("*") if p.is_file() and not set(p.relative_to(folder).parts) & set(OWN))
    return [str(path) for path in files if pattern.search(path.read_bytes())]


def must_be_nowhere(lab: Lab, project: Project, words: set[str], excluded: str = DOCKERS) -> None:
    text = "|".join(map(re.escape, sorted(words)))
    for run in project.runs:
        assert not re.search(text, run.text), f"deployer {' '.join(run.arguments)}"
    assert files_with(project.folder, re.compile(text.encode())) == [], "on the controller"
    found = lab.run(HOST, "sh", "-c", SEARCH % (EVERYWHERE, excluded), stdin="\n".join(words).encode(), check=False)
    assert found == "", "on the host"
    for container in lab.containers(HOST):
        assert not re.search(text, str([container["Config"]["Labels"], container["Args"], container["Name"]]))


def test_a_secret_must_be_found_nowhere_in_a_whole_life(lab: Lab, project: Project) -> None:
    canaries = {name: f"canary-{name}-{uuid.uuid4().hex}" for name in SOURCES}
    rotated = f"canary-rotated-{uuid.uuid4().hex}"
    words = {form for canary in (*canaries.values(), rotated) for form in spellings(canary)}
    furnished(project, canaries)
    with echoing(lab) as echo, sampled(words):
        gateway = f"{lab.network}.1"
        services = SPEC.replace("GATEWAY", gateway).replace("ECHO", echo)
        head = HEAD.replace("registry.lab", gateway)  # a bundle is made here, where that is no name
        spec = head + services
        project.write_whole(spec)
        live(project, FIRST, exit=0)
        assert canaries["by_env"] in lab.run(HOST, "docker", "exec", *lab.running(HOST), "env"), "it was delivered"
        must_be_nowhere(lab, project, words)

        project.environment["LAB_KEY"] = rotated
        live(project, "plan --json; apply -y --json; rollback -y -v --target chat; apply -y --resume", exit=0)
        live(project, "stop chat -y -v; start chat -y --json; cache prune -y -v; force-unlock -y -v", exit=0)
        project.write_whole(spec.partition("    options: {api_key")[0] + TELLS_ALL)
        live(project, LATER)
        for image in ("${var.private}", f"{echo}/lab/none:1"):
            project.write_whole(spec.replace("    model: tiny\n", f'    model: tiny\n    image: "{image}"\n'))
            live(project, f"{LATER}; lock -v; bundle create -o two.tar")
        project.write_whole(FAR + services + "  far: {model: far}\n")
        live(project, f"{LATER}; lock -v; bundle create -o three.tar; cache pull")
        for bad in BAD:
            project.write_whole(HEAD + "hosts: {lab1: {}}\n" + bad.replace("CANARY", canaries["by_env"]))
            live(project, "validate -v; plan --json; apply -y")
        project.write_whole(spec)
        watch_a_little(project)
        must_be_nowhere(lab, project, words)

        live(project, "destroy -y -v; status -v; history --json", exit=0)
    assert any("***" in run.text for run in project.runs), "something did tell"
    assert lab.names(HOST) == []
    lab.sh(HOST, "sync")
    must_be_nowhere(lab, project, words, excluded="")
