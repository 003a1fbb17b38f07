"""The printed `docker run` and the API's create body make the same container, on a real Docker engine."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from deployer.docker.commandline import render_docker_run
from deployer.docker.payload import archive, create_body
from deployer.values.container import ContainerSpec, Mount, SecretFile, ShippedFile
from deployer.values.secrets import Secret, SecretRef
from tests.contract.backends.test_golden import CASES, render_case
from tests.support.dockerd import private_dockerd

pytestmark = pytest.mark.lab
IMAGE = "nothing:1"
# what a person pastes, but nothing starts: the image is empty
WRAPPER = """
docker() {
  case $1 in
    run) shift 2; command docker create "$@";;
    start) ;;
    *) command docker "$@";;
  esac
}
"""
UNEQUAL = {"Hostname", "AttachStdout", "AttachStderr", "ConsoleSize"}  # by the CLI's nature, not by what was asked
NASTY = [
    "", " ", "a b", "it's", '"', "\\", "$HOME $(id) `id`", "{{ x }}", "a\nb", "\r\n", "\t", "\x1b[31m", "\x7f", "\x85",
    "é\u2028", "-x", "😀", "a=b", "#", "*", "a,b", ":",
]  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.APIClient]:
    with private_dockerd() as address:
        client = docker.APIClient(address, version="1.41", timeout=60)
        with io.BytesIO() as empty:
            tarfile.open(fileobj=empty, mode="w").close()
            repository, _, tag = IMAGE.partition(":")
            command = ['CMD ["/serve"]']  # as images have whose server needs no arguments
            client.import_image_from_data(empty.getvalue(), repository=repository, tag=tag, changes=command)
        client.address = address
        yield client
        client.close()


def secrets_of(spec: ContainerSpec) -> dict[str, Secret]:
    return {name: Secret(f"value of {name}") for name in spec.secret_names}


def by_text(engine: docker.APIClient, spec: ContainerSpec, name: str, home: Path) -> dict[str, Any]:
    secrets = secrets_of(spec)
    variables = {n: secrets[v.secret].reveal() for n, v in spec.env.items() if isinstance(v, SecretRef)}
    variables |= {f"SECRET_{n.upper()}": s.reveal() for n, s in secrets.items()}
    text = render_docker_run(spec, name, {"deployer.project": "lab"})
    assert not any(s.reveal() in text for s in secrets.values())
    done = subprocess.run(
        ["bash", "-c", WRAPPER + text],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "DOCKER_HOST": engine.address, **variables},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, text + done.stderr.decode()
    return dict(engine.inspect_container(name))


def by_api(engine: docker.APIClient, spec: ContainerSpec, name: str) -> dict[str, Any]:
    secrets = secrets_of(spec)
    env = {n: secrets[v.secret].reveal() if isinstance(v, SecretRef) else v for n, v in spec.env.items()}
    body = create_body(spec, {**spec.labels, "deployer.project": "lab"}, IMAGE, env)
    created = engine.create_container_from_config(body, name)
    data = archive(spec, secrets)
    if data:
        assert engine.put_archive(created["Id"], "/", data)
    return dict(engine.inspect_container(name))


def plain(data: Any) -> Any:
    """Without what is empty, and where the two write one thing in two ways, in one."""
    if isinstance(data, Mapping):
        found = {key: plain(value) for key, value in data.items() if key not in UNEQUAL}
        for key in ("CapAdd", "CapDrop"):
            if found.get(key):
                found[key] = sorted(cap if cap.startswith("CAP_") else f"CAP_{cap}" for cap in found[key])
        if found.get("Env"):  # the CLI sends them in any order
            found["Env"] = sorted(found["Env"])
        if found.get("NetworkMode") == "default":
            found["NetworkMode"] = "bridge"
        if "Cmd" in found:  # the CLI's --entrypoint takes one word; the rest goes before the arguments
            found["Cmd"] = [*(found.pop("Entrypoint", None) or ()), *(found["Cmd"] or ())]
        return {key: value for key, value in found.items() if value not in (None, False, 0, "", {}, [])}
    if isinstance(data, list):
        items = [plain(item) for item in data]
        return sorted(items, key=repr) if all(isinstance(item, Mapping) for item in items) else items
    return data


def files_in(engine: docker.APIClient, name: str, paths: list[str]) -> dict[str, tuple[int, int, int, bytes]]:
    found = {}
    for path in paths:
        chunks, _ = engine.get_archive(name, path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            (member,) = tar.getmembers()
            content = tar.extractfile(member)
            assert content is not None
            found[path] = (member.mode & 0o7777, member.uid, member.gid, content.read())
    return found


def both(engine: docker.APIClient, spec: ContainerSpec, name: str, home: Path) -> dict[str, Any]:
    """Made in both ways and compared; the inspect output of the API's."""
    spec = replace(spec, image=IMAGE, mounts=tuple(here(mount, home) for mount in spec.mounts), extra={})
    text, api = by_text(engine, spec, f"{name}-text", home), by_api(engine, spec, f"{name}-api")
    for part in ("Config", "HostConfig", "Mounts"):
        assert plain(text[part]) == plain(api[part]), part
    aliases = [sorted((n.get("Aliases") or [])[:1]) for n in text["NetworkSettings"]["Networks"].values()]
    assert aliases == [sorted((n.get("Aliases") or [])[:1]) for n in api["NetworkSettings"]["Networks"].values()]
    paths = sorted({*spec.files, *spec.secret_files})
    assert files_in(engine, f"{name}-text", paths) == files_in(engine, f"{name}-api", paths)
    return api


def here(mount: Mount, home: Path) -> Mount:
    """The mount with a source that exists on this machine."""
    if mount.kind == "volume":
        return mount
    source = home / mount.source.lstrip("/")
    if not mount.create:  # the text makes those
        source.mkdir(parents=True, exist_ok=True)
    return replace(mount, source=str(source))


@pytest.mark.parametrize("path", CASES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_golden_makes_the_same_container_in_both_ways(
    engine: docker.APIClient, path: Path, tmp_path: Path
) -> None:
    both(engine, render_case(path), f"{path.parent.name}-{path.stem}", tmp_path)


def test_what_was_asked_for_is_what_docker_has(engine: docker.APIClient, tmp_path: Path) -> None:
    case = next(path for path in CASES if path.stem == "whole-docker-run")
    made = both(engine, render_case(case), "asked", tmp_path)
    host = made["HostConfig"]
    assert host["DeviceRequests"][0]["DeviceIDs"] == ["GPU-11111111-aaaa", "GPU-22222222-bbbb"]
    assert host["Runtime"] == "nvidia"
    assert host["ShmSize"] == 16 * 2**30
    assert host["PortBindings"] == {"8000/tcp": [{"HostIp": "::1", "HostPort": "8000"}]}
    assert host["NanoCpus"] == 1_500_000_000
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert made["Config"]["Entrypoint"] == ["/usr/bin/env", "vllm"]
    assert made["Config"]["StopTimeout"] == 90
    assert made["Config"]["Healthcheck"]["Interval"] == 30 * 10**9
    assert {m["Destination"]: m["RW"] for m in made["Mounts"]}["/loras"] is False


def test_nasty_texts_arrive_as_they_are(engine: docker.APIClient, tmp_path: Path) -> None:
    env = {f"V{index}": text for index, text in enumerate(NASTY)}
    labels = {f"l{index}": text for index, text in enumerate(NASTY)}
    made = both(engine, ContainerSpec("", command=tuple(NASTY), env=env, labels=labels), "nasty", tmp_path)
    assert made["Config"]["Cmd"] == NASTY
    assert made["Config"]["Env"] == [f"V{index}={text}" for index, text in enumerate(NASTY)]
    assert {k: v for k, v in made["Config"]["Labels"].items() if k.startswith("l")} == labels


def test_nasty_paths_are_mounted_as_they_are(engine: docker.APIClient, tmp_path: Path) -> None:
    targets = [f"/m/{index}{text.strip()}" for index, text in enumerate(NASTY) if "\n" not in text and "\r" not in text]
    mounts = tuple(Mount(f"/src{target}", target, read_only=True) for target in targets)
    made = both(engine, ContainerSpec("", command=("x",), mounts=mounts), "paths", tmp_path)
    assert {m["Destination"] for m in made["Mounts"]} == set(targets)


def test_files_have_owner_and_mode_and_leave_directories_alone(engine: docker.APIClient, tmp_path: Path) -> None:
    spec = ContainerSpec(
        "",
        command=("x",),
        files={"/opt/new/deep/x y.sh": ShippedFile("aGkK", mode=0o755, uid=7, gid=8), "/top": ShippedFile("")},
        secret_files={
            "/run/k": SecretFile(SecretRef("a"), mode=0o400, uid=1000, gid=1001),
            "/run/two": SecretFile(SecretRef("a"), more=(SecretRef("b"),)),
        },
    )
    both(engine, spec, "files", tmp_path)
    assert files_in(engine, "files-api", [*spec.files, *spec.secret_files]) == {
        "/opt/new/deep/x y.sh": (0o755, 7, 8, b"hi\n"),
        "/top": (0o644, 0, 0, b""),
        "/run/k": (0o400, 1000, 1001, b"value of a"),
        "/run/two": (0o600, 0, 0, b"value of a\nvalue of b"),
    }
    chunks, _ = engine.get_archive("files-api", "/opt")
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        assert {m.name: m.mode & 0o7777 for m in tar.getmembers() if m.isdir()} == {
            "opt": 0o755,
            "opt/new": 0o755,
            "opt/new/deep": 0o755,
        }


def test_extra_reaches_docker_in_any_case_of_letters(engine: docker.APIClient, tmp_path: Path) -> None:
    extra = {"hostconfig": {"CpuShares": 512, "shmsize": 2**26}, "Domainname": "lab"}
    made = by_api(engine, ContainerSpec(IMAGE, command=("x",), shm_size=2**25, extra=extra), "extra")
    assert made["HostConfig"]["CpuShares"] == 512
    assert made["HostConfig"]["ShmSize"] == 2**26
    assert made["Config"]["Domainname"] == "lab"


def test_an_empty_entrypoint_takes_the_images_away(engine: docker.APIClient, tmp_path: Path) -> None:
    made = both(engine, ContainerSpec("", entrypoint=(), command=("a",)), "entry", tmp_path)
    assert not made["Config"]["Entrypoint"]
