"""The lab as fixtures: hosts once per session, a clean slate for every test, artifacts of what failed."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from labkit import images, models
from labkit.day import BULKY, MEGABYTES, Day, begin
from labkit.hosts import OPEN_PORT, PRIVATE_PORT, REPOSITORY, Lab
from labkit.oci import push
from labkit.project import IMAGES, Project
from labkit.relay import BadRegistry

NEEDED = ("dockerd", "sshd", "docker-registry", "htpasswd", "ip", "iptables", "mkfs.ext4", "docker-init", "nsenter",
          "busybox", "sudo", "curl", "cmake", "ninja")  # fmt: skip
ARTIFACTS = REPOSITORY / "build" / "lab-artifacts"
VLLM_TAGS = ("v0.11.0",)
SBIN = os.pathsep.join(("/usr/local/sbin", "/usr/sbin", "/sbin", os.environ.get("PATH", "")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("lab")


def missing() -> str | None:
    if os.geteuid() != 0:
        return "the lab needs root"
    absent = [name for name in NEEDED if shutil.which(name, path=SBIN) is None]
    return f"the lab needs {', '.join(absent)}: run `make deps`" if absent else None


@pytest.fixture(scope="session")
def lab(worker_id: str) -> Iterator[Lab]:
    """Three hosts with images and models on them; one lab per xdist worker."""
    reason = missing()
    if reason and os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    if reason:
        pytest.skip(reason)
    lab = lab_of(worker_id)
    lab.up()
    try:
        furnish(lab)
        yield lab
    finally:
        if not os.environ.get("LAB_KEEP"):
            lab.down()


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    worker: dict[str, str] = getattr(request.config, "workerinput", {})
    return worker.get("workerid", "master")


def lab_of(worker: str) -> Lab:
    """`LAB_PREFIX` and `LAB_NET` name the first worker's; the others' are beside it."""
    index = int(worker.removeprefix("gw")) if worker.startswith("gw") else 0
    first, second, third = os.environ.get("LAB_NET", "10.78.0").split(".")
    prefix = os.environ.get("LAB_PREFIX", "dlt") + ("abcdefgh"[index - 1] if index else "")
    return Lab(prefix=prefix, network=f"{first}.{int(second) + index}.{third}", count=3)


def furnish(lab: Lab) -> None:
    gateway = f"{lab.network}.1"
    images.push_all(f"{gateway}:{OPEN_PORT}", f"{gateway}:{PRIVATE_PORT}", VLLM_TAGS)
    for host in lab.hosts:
        for image in IMAGES:
            lab.run(host, "docker", "pull", "-q", image)
        lab.put(host, "/srv/models/tiny.gguf", models.tiny_gguf())
        lab.put(host, "/srv/models/tiny-hf", models.tiny_transformer())
    lab.put("lab1", "/srv/models/smollm2.gguf", models.smollm2())
    lab.put("lab2", "/srv/models/minilm.gguf", models.minilm_gguf())


@pytest.fixture
def project(lab: Lab, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    """An empty project on clean hosts. What it ran is kept when the test fails."""
    lab.up()
    lab.reset()
    project = Project(lab, tmp_path)
    yield project
    failure = request.node.stash.get(FAILED, None)
    if failure:
        folder = ARTIFACTS / re.sub(r"[^\w.-]+", "_", request.node.name)
        keep_artifacts(lab, project, folder)
        (folder / "failure.txt").write_text(failure)
    for host in lab.hosts:
        lab.fault("heal", host)


@pytest.fixture(scope="session")
def bulky(lab: Lab) -> None:
    push(images.bulky(MEGABYTES), f"{lab.network}.1:{OPEN_PORT}", BULKY)


@pytest.fixture
def day(lab: Lab, project: Project, bulky: None) -> Iterator[Day]:
    """A service that answers, and the registry of its next image in our hands."""
    with BadRegistry(f"{lab.network}.1", OPEN_PORT) as registry:
        yield begin(lab, project, registry)


FAILED = pytest.StashKey[str]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "call" and report.failed:
        item.stash[FAILED] = report.longreprtext
    return report


def keep_artifacts(lab: Lab, project: Project, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in project.folder.glob("*.yaml"):
        shutil.copy(file, folder)
    (folder / "deployer.txt").write_text("\n\n".join(map(str, project.runs)))
    for host in lab.hosts:
        attempt(lambda host=host: save_host(lab, host, folder))


def attempt(work: Callable[[], object]) -> None:
    """A host that is broken must not hide why the test failed."""
    try:
        work()
    except Exception as error:
        print(f"no artifacts: {error}")


def save_host(lab: Lab, host: str, folder: Path) -> None:
    containers = lab.containers(host)
    (folder / f"{host}.inspect.json").write_text(json.dumps(containers, indent=1))
    for container in containers:
        name = container["Name"].lstrip("/")
        (folder / f"{host}.{name}.log").write_text(lab.sh(host, f"docker logs {name} 2>&1 | tail -c 100000"))
    (folder / f"{host}.dockerd.log").write_text(lab.sh(host, "tail -c 100000 /run/dockerd.log"))
