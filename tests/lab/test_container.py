"""What a spec says of its container must be what Docker was told, and secrets must be seen by nobody else."""

from __future__ import annotations

import json
import os
import random
import time
import uuid
from pathlib import Path

import pytest
from labkit import models
from labkit.hosts import BUSYBOX, Lab
from labkit.project import HEAD, Project, canaries

CANARY, FILE_CANARY = (f"canary-{uuid.uuid4().hex}" for _ in range(2))  # in no file of this machine before
FULL = """
chat:
  model: tiny
  env: {PLAIN: "with spaces, $dollars and 'quotes'", LAB_KEY: {secret: env_key}}
  port: {number: 8200, bind: 0.0.0.0}
  container:
    shm_size: 96m
    user: "0:0"
    group_add: ["29"]
    hostname: chat-box
    volumes: ["/srv/models:/extra:ro", "lab-volume:/data"]
    tmpfs: {/scratch: "size=8m"}
    files: {/opt/app/hello.txt: ./hello.txt, /opt/app/run.sh: {path: ./hello.txt, mode: "0755", uid: 12, gid: 34}}
    secret_files: {/run/secrets/key: {secret: file_key, mode: "0440", uid: 65534, gid: 65534}}
    devices: ["/dev/null:/dev/lab-null:rwm"]
    cap_add: [SYS_NICE]
    cap_drop: [MKNOD]
    security_opt: ["no-new-privileges"]
    init: true
    sysctls: {net.core.somaxconn: "512"}
    ulimits: {nofile: {soft: 1024, hard: 2048}, memlock: -1}
    memory: 1g
    cpus: 1.5
    pids_limit: 200
    dns: [10.9.8.7]
    extra_hosts: ["friend:10.9.8.6"]
    stop_grace: 7s
    labels: {team: red}
    log: {max_size: 5m, max_file: 2}
    restart: on-failure
"""
SECRETS = "secrets: {env_key: {env: LAB_KEY}, file_key: {file: ./key.txt}}"


def write_full(project: Project) -> None:
    project.environment["LAB_KEY"] = CANARY
    (project.folder / "key.txt").write_text(FILE_CANARY)
    (project.folder / "hello.txt").write_text("hello\n")
    project.write(FULL, hosts="{lab1: {}}", more=SECRETS)


def test_a_full_container_section_must_arrive_as_written(lab: Lab, project: Project) -> None:
    write_full(project)
    project.apply()
    (name,) = lab.running("lab1")
    seen = lab.inspect("lab1", name)
    host, config = seen["HostConfig"], seen["Config"]
    assert host["ShmSize"] == 96 << 20
    assert config["User"] == "0:0"
    assert host["GroupAdd"] == ["29"]
    assert config["Hostname"] == "chat-box"
    mounts = {m["Destination"]: (m["Type"], m["RW"]) for m in seen["Mounts"]}
    assert mounts["/extra"] == ("bind", False)
    assert mounts["/data"] == ("volume", True)
    assert host["Tmpfs"] == {"/scratch": "size=8m"}
    (device,) = host["Devices"]
    assert (device["PathOnHost"], device["PathInContainer"]) == ("/dev/null", "/dev/lab-null")
    assert {c.removeprefix("CAP_") for c in host["CapAdd"]} == {"SYS_NICE"}
    assert {c.removeprefix("CAP_") for c in host["CapDrop"]} == {"MKNOD"}
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Init"] is True
    assert host["Sysctls"] == {"net.core.somaxconn": "512"}
    limits = {u["Name"]: (u["Soft"], u["Hard"]) for u in host["Ulimits"]}
    assert limits == {"nofile": (1024, 2048), "memlock": (-1, -1)}
    assert host["Memory"] == 1 << 30
    assert host["NanoCpus"] == 1_500_000_000
    assert host["PidsLimit"] == 200
    assert host["Dns"] == ["10.9.8.7"]
    assert host["ExtraHosts"] == ["friend:10.9.8.6"]
    assert config["StopTimeout"] == 7
    assert config["Labels"]["team"] == "red"
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "5m", "max-file": "2"}}
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 0}
    assert [b for bindings in host["PortBindings"].values() for b in bindings] == [
        {"HostIp": "0.0.0.0", "HostPort": "8200"}
    ]
    assert "PLAIN=with spaces, $dollars and 'quotes'" in config["Env"]
    project.must_be_settled()


def test_files_and_secret_files_must_have_content_owner_and_mode(lab: Lab, project: Project) -> None:
    write_full(project)
    project.apply()
    (name,) = lab.running("lab1")

    def stat(path: str) -> list[str]:
        return lab.run("lab1", "docker", "exec", name, "stat", "-c", "%a %u %g", path).split()

    assert lab.run("lab1", "docker", "exec", name, "cat", "/opt/app/hello.txt") == "hello\n"
    assert stat("/opt/app/hello.txt") == ["644", "0", "0"]
    assert stat("/opt/app/run.sh") == ["755", "12", "34"]
    assert lab.run("lab1", "docker", "exec", name, "cat", "/run/secrets/key") == FILE_CANARY
    assert stat("/run/secrets/key") == ["440", "65534", "65534"]
    assert CANARY in lab.run("lab1", "docker", "exec", name, "env")


def test_secrets_must_be_seen_nowhere_else(lab: Lab, project: Project) -> None:
    write_full(project)
    words = (CANARY, FILE_CANARY)
    process = project.start("apply", "-y", "-v")
    seen: set[str] = set()
    while process.poll() is None:
        seen |= {word for word in words if word in every_argument()}
        time.sleep(0.02)
    applied = project.finish(process, "apply", "-y", "-v")
    assert seen == set(), "secrets must not be in the process table"
    runs = [applied, *(project.run(*a.split()) for a in ("plan", "plan --json", "status --json", "render", "facts"))]
    for run in runs:
        assert canaries(run, words) == [], run.arguments
    (name,) = lab.running("lab1")
    labels = lab.inspect("lab1", name)["Config"]["Labels"]
    assert [w for w in words if w in str(labels)] == []
    folders = "/var/lib/deployer /tmp /var/tmp /dev/shm /run/lock /var/log /etc /opt /mnt /root /home /srv"
    found = lab.sh("lab1", f"grep -rlE '{'|'.join(words)}' {folders} 2>/dev/null || true")
    assert found == "", "no file of the host may hold a secret, but Docker's own"


def every_argument() -> str:
    """The arguments of all processes of this machine, the hosts' included."""
    parts = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                parts.append((entry / "cmdline").read_bytes())
            except OSError:
                continue
    return b"\n".join(parts).decode(errors="replace")


def test_a_changed_shipped_file_must_replace_the_container(lab: Lab, project: Project) -> None:
    write_full(project)
    project.apply()
    (before,) = lab.running("lab1")
    (project.folder / "hello.txt").write_text("good bye\n")
    project.run("plan", "--detailed-exitcode", exit=2)
    project.apply()
    (after,) = lab.running("lab1")
    assert after != before
    assert lab.run("lab1", "docker", "exec", after, "cat", "/opt/app/hello.txt") == "good bye\n"


def test_a_rotated_secret_must_be_a_change_that_shows_no_value(lab: Lab, project: Project) -> None:
    write_full(project)
    project.apply()
    project.environment["LAB_KEY"] = "another-canary-55aa"
    planned = project.run("plan", "--detailed-exitcode", exit=2)
    assert "env_key" in planned.out
    assert "another-canary-55aa" not in planned.text
    project.apply()
    (name,) = lab.running("lab1")
    assert "another-canary-55aa" in lab.run("lab1", "docker", "exec", name, "env")
    project.must_be_settled()


def test_an_api_key_must_be_asked_for_and_used_by_the_probe(lab: Lab, project: Project) -> None:
    project.environment["API_KEY"] = "key-of-the-lab"
    project.write("chat: {model: tiny, options: {api_key: {secret: key}}}", more="secrets: {key: {env: API_KEY}}")
    project.apply()
    replica = project.replica("chat")
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
    url = f"{replica['url']}/v1/chat/completions"
    assert lab.request(replica["host"], url, body)[0] == 401
    assert lab.request(replica["host"], url, body, key="key-of-the-lab")[0] == 200
    assert "key-of-the-lab" not in str(lab.inspect(replica["host"], replica["container"])["Args"])


def test_a_secret_for_some_hosts_must_go_to_no_other(lab: Lab, project: Project) -> None:
    project.environment["LAB_KEY"] = CANARY
    project.write(
        "chat: {model: tiny, env: {K: {secret: key}}, placement: {gpus: none, hosts: [lab2]}}",
        more="secrets: {key: {env: LAB_KEY, hosts: [lab1]}}",
    )
    failed = project.run("apply", "-y", exit=1)
    assert "key" in failed.err
    assert CANARY not in failed.text
    assert lab.names() == []


def test_quotes_newlines_and_dollars_must_arrive_exactly(lab: Lab, project: Project) -> None:
    nasty = "a'b\"c $(touch /srv/scratch-pwned) `id` ; & | \\ \u00fc\u4e2d\u6587 {{ x }} $HOME"
    env = json.dumps({"NASTY": nasty, "LINES": "one\ntwo"})
    project.write(f"chat: {{model: tiny, env: {env}}}")
    project.apply()
    replica = project.replica("chat")
    given = lab.inspect(replica["host"], replica["container"])["Config"]["Env"]
    assert f"NASTY={nasty}" in given
    assert "LINES=one\ntwo" in given
    assert "no" in lab.sh(replica["host"], "test -e /srv/scratch-pwned && echo yes || echo no")
    project.must_be_settled()


WORDS = [
    "a'b\"c", "$(touch /srv/scratch-pwned)", "`touch /srv/scratch-pwned`", "; touch /srv/scratch-pwned #", "one\ntwo\n",
    "", " ", "--", "-n", "%s%n", "\\", "\\n", "!x", "~", "*", "{{ x }}", "{% x %}", "$HOME", "${HOME}", "$$",
    "a=b", "\t",
    "\u00fc\u4e2d\u6587", "\U0001f600", "e\u0301", "::set-env name=x::y", "-e", "a" * 4000,
]  # fmt: skip
SHOWS = """for word in "$@"; do printf %s "$word" | hexdump -v -e '1/1 "%02x"'; echo; done
echo --; hexdump -v -e '1/1 "%02x"' /proc/self/environ"""


@pytest.mark.heavy
def test_every_word_must_arrive_as_it_was_written(lab: Lab, project: Project) -> None:
    """As the program in the container sees its arguments and environment; it ends at once, and is left as it is."""
    chance = random.Random(20260101)
    letters = "abc \n\t'\"`$(){}[]&|;<>*?!#%~=\\/:,.-_\u00e9\u4e2d\U0001f600"
    words = [*WORDS, *("".join(chance.choices(letters, k=chance.randint(1, 30))) for _ in range(60))]
    written = [word.replace("${", "$${") for word in words]
    service = {
        "model": "tiny",
        "image": BUSYBOX,
        "args": written,
        "env": {f"WORD_{number}": word for number, word in enumerate(written)},
        "container": {"entrypoint": ["sh", "-c", SHOWS.replace("${", "$${"), "sh"]},
        "rollout": {"on_failure": "stop"},
    }
    project.write(f"chat: {json.dumps(service, ensure_ascii=False)}", hosts="{lab1: {}}")
    project.apply(exit=1)
    (name,) = lab.names("lab1")
    arguments, _, environ = lab.run("lab1", "docker", "logs", name).partition("\n--\n")
    assert [bytes.fromhex(line).decode() for line in arguments.split("\n")][-len(words) :] == words
    seen = bytes.fromhex(environ.strip()).decode().split("\0")
    assert [text for text in seen if text.startswith("WORD_")] == [f"WORD_{i}={word}" for i, word in enumerate(words)]
    assert lab.sh("lab1", "ls -A /srv").split() == ["models"]


ODD = 'it\'s "a" $(touch pwned) `id`; & \\ {{ x }} % \u00fc\u4e2d #1'


@pytest.mark.heavy
def test_every_path_must_be_the_one_that_was_written(lab: Lab, project: Project) -> None:
    """Of weights, of volumes, of what is shipped and of the cache."""
    folder = f"/srv/scratch/{ODD}"
    lab.put("lab1", f"{folder}/{ODD}.gguf", models.tiny_gguf())
    lab.put("lab1", f"{folder}/more/note.txt", b"here")
    (project.folder / ODD).write_text("shipped\n")
    project.environment["LAB_KEY"] = CANARY
    service = {
        "model": "odd",
        "env": {"K": {"secret": "key"}},
        "container": {
            "volumes": [f"{folder}/more:/{ODD}/more:ro"],
            "files": {f"/{ODD}/shipped": {"path": f"./{ODD}"}},
            "secret_files": {f"/{ODD}/key": "key"},
        },
    }
    data = {
        "hosts": {"lab1": {"cache_dir": f"{folder}/cache"}},
        "secrets": {"key": {"env": "LAB_KEY"}},
        "services": {"chat": service},
    }
    head = HEAD.replace("models:\n", f"models:\n  odd: {{source: {json.dumps(f'file://{folder}/{ODD}.gguf')}}}\n")
    project.write_whole(head + "".join(f"{key}: {json.dumps(value)}\n" for key, value in data.items()))
    project.apply()
    (name,) = lab.running("lab1")
    for file, content in (("more/note.txt", "here"), ("shipped", "shipped\n"), ("key", CANARY)):
        assert lab.run("lab1", "docker", "exec", name, "cat", f"/{ODD}/{file}") == content
    project.must_be_settled()
    assert lab.sh("lab1", "find / -xdev -name 'pwned' 2>/dev/null; true") == ""
    project.destroy()
    assert lab.names("lab1") == []


def test_a_nul_must_be_refused(project: Project) -> None:
    for service in ({"args": ["a\0b"]}, {"env": {"A": "a\0b"}}, {"container": {"files": {"/a\0b": "./x"}}}):
        project.write(f"chat: {json.dumps({'model': 'tiny', **service})}", hosts="{lab1: {}}")
        assert "error[" in project.run("validate", exit=1).err
