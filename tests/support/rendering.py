"""Placed replicas to render: a spec as data, one host, and what placement would have decided."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from deployer import backends
from deployer.planning.adapted import adapted
from deployer.planning.models import BY_NAME
from deployer.planning.render import ModelFacts, Placed, RenderRequest, choose_image
from deployer.spec.language import DeploySpec
from deployer.spec.project import Project
from deployer.values.facts import DockerFacts, HostFacts
from deployer.values.gpu_facts import Gpu, GpuFacts
from deployer.values.names import ReplicaKey

GIB = 1024**3


def host_facts(gpus: Sequence[str] = ()) -> HostFacts:
    found = tuple(Gpu(index, uuid, "NVIDIA H100", memory_total=80 * GIB) for index, uuid in enumerate(gpus))
    return HostFacts(
        name="gpu-a",
        hostname="gpu-a",
        os="Debian GNU/Linux 12",
        kernel="6.1.0",
        arch="x86_64",
        uid=1000,
        gid=1001,
        user="ops",
        cpus=8,
        memory_total=64 * GIB,
        memory_available=60 * GIB,
        time="2026-01-01T00:00:00Z",
        docker=DockerFacts("28.2.2", "1.50"),
        gpu=GpuFacts(gpus=found),
    )


def project_of(service: Mapping[str, Any], files: Mapping[str, bytes] | None = None, **sections: Any) -> Project:
    data = {
        "version": 1,
        "project": "demo",
        "hosts": {"gpu-a": {"vars": {"nic": "ib0"}}},
        "models": {"tiny": {"source": "file:///srv/models/tiny.gguf"}},
        "services": {"chat": {"model": "tiny", **service}},
    }
    return Project(DeploySpec.model_validate(data | sections), "deploy.yaml", {}, files or {})


def model_facts(path: str, parts: Sequence[str] = (), scheme: str = "file") -> ModelFacts:
    if scheme in BY_NAME:
        return ModelFacts(path, "name")
    if path.endswith(".gguf"):
        return ModelFacts(path, "file", tuple(parts) or (path,))
    return ModelFacts(posixpath.normpath(path), "directory")


def placed_request(
    project: Project,
    backend: str,
    *,
    gpus: Sequence[str] = (),
    port: int | None = 20000,
    model: ModelFacts | None = None,
    category: str = "llm",
    draft: ModelFacts | None = None,
    others: tuple[tuple[ModelFacts, str], ...] = (),
) -> RenderRequest:
    found = backends.find(backend)
    assert found is not None
    service = next(iter(project.spec.services.values()))
    first = project.spec.models.get(service.each()[0].model or "")
    named = service.backend or found.name
    found = adapted(found, project, named, first) if first is not None else found
    default = "/srv/models/tiny.gguf" if found.formats == ("gguf",) else "/srv/models/tiny"
    request = RenderRequest(
        project=project,
        service_name=next(iter(project.spec.services)),
        key=ReplicaKey("chat", 0),
        host_name=next(iter(project.spec.hosts)),
        facts=host_facts(gpus),
        placed=Placed(tuple(gpus), port),
        backend=found,
        image="",
        category=category,
        model=model or model_facts(default),
        draft=draft,
        others=others,
    )
    image = choose_image(request.service, None, found, bool(gpus))
    return RenderRequest(**{name: getattr(request, name) for name in RenderRequest.__slots__} | {"image": image})
