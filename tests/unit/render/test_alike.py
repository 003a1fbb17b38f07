"""Replicas that are rendered once for many of them become what each would have become by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from jinja2 import Environment

from deployer import backends
from deployer.errors import SpecError
from deployer.planning.render import render_container
from deployer.planning.render_alike import Renderer
from deployer.planning.render_reads import names_read
from deployer.planning.render_request import Placed
from deployer.values.codec import to_data
from deployer.values.facts import ImageFact, ImageFlags
from deployer.values.names import ReplicaKey
from tests.support.rendering import host_facts, placed_request, project_of
from tests.unit.backends.test_conformance import BACKENDS, least

HOSTS = {
    "gpu-a": {"vars": {"nic": "ib0"}, "labels": {"rack": "r1"}},
    "gpu-b": {"vars": {"nic": "eth0"}, "labels": {"rack": "r2"}, "cache_dir": "/cache"},
}
TEMPLATE = "mine.yaml.j2"
BACKEND = {"mine": {"extends": "llama.cpp", "template": TEMPLATE}}


def requests(service: dict[str, Any], backend: str, files: dict[str, bytes] | None = None, **sections: Any) -> Any:
    """Replicas of one service that differ in all that a placement decides."""
    project = project_of(service, files, hosts=HOSTS, **sections)
    places = [("gpu-a", ("GPU-a0",), 20000), ("gpu-b", ("GPU-b0", "GPU-b1"), 20001), ("gpu-b", ("GPU-b2",), 20002),
              ("gpu-a", ("GPU-a1", "GPU-a2"), 20003), ("gpu-a", (), 20004), ("gpu-a", (), None)]  # fmt: skip
    for index, (host, gpus, port) in enumerate(places):
        try:
            request = placed_request(project, backend, gpus=gpus, port=port)
        except SpecError:  # no image without GPUs
            continue
        facts = replace(host_facts(gpus), name=host, uid=1000 + len(gpus))
        yield replace(request, key=ReplicaKey("chat", index), host_name=host, facts=facts)


def rendered_alone(found: Any) -> list[Any]:
    return [render_container(request) for request in found]


def rendered_together(found: Any) -> list[Any]:
    renderer = Renderer()
    together = [renderer.rendered(request) for request in found]
    assert [one.data for one in together] == [to_data(one.container) for one in together]
    return [one.container for one in together]


@BACKENDS
def test_every_backend_gives_each_replica_its_own(backend: backends.base.Backend) -> None:
    service = least(backend)
    assert rendered_together(requests(service, backend.name)) == rendered_alone(requests(service, backend.name))


@pytest.mark.parametrize(
    "service",
    [
        {"args": ["--name", "${replica.index}"]},
        {"env": {"NIC": "${host.vars.nic}"}},
        {"container": {"user": "${host.uid}:1"}},
        {"container": {"files": {"/f": {"content": "${gpu.uuids}"}}}},
        {"container": {"network": "host"}},
        {"options": {"gpu_memory": "12g"}, "backend": "vllm"},
    ],
)
def test_what_a_replica_has_for_its_own_stays_so(service: dict[str, Any]) -> None:
    backend = service.get("backend", "llama.cpp")
    found = [request for request in requests(service, backend) if request.placed.gpus]
    assert rendered_together(found) == rendered_alone(found)


@pytest.mark.parametrize(
    "argument", ["host.name", "host.labels.rack", "replica", "gpus | join(',')", "gpus[0]", "gpus | first"]
)
def test_a_template_of_its_own_may_read_all_of_it(argument: str) -> None:
    files = {TEMPLATE: f"args:\n  - {{{{ {argument} }}}}\n".encode()}
    found = [r for r in requests({"backend": "mine"}, "llama.cpp", files, backends=BACKEND) if r.placed.gpus]
    found = [replace(request, backend_name="mine") for request in found]
    assert rendered_together(found) == rendered_alone(found)
    assert len({container.command for container in rendered_alone(found)}) > 1


def test_what_an_image_said_of_its_flags_counts_on_the_host_that_has_it() -> None:
    files = {TEMPLATE: b"args:\n  {% if flag('--new') %}- --new\n  {% else %}- --old\n  {% endif %}"}
    (first, *_) = requests({"backend": "mine"}, "llama.cpp", files, backends=BACKEND)
    id_ = "sha256:" + "1" * 64
    flags = ("--old",)
    asked = replace(
        first.facts, images=(ImageFact(id_, (first.image,), ()),), image_flags=(ImageFlags(id_, "2026-01-01", flags),)
    )
    found = [replace(first, backend_name="mine", facts=facts) for facts in (first.facts, asked, first.facts)]
    assert [container.command for container in rendered_together(found)] == [("--new",), ("--old",), ("--new",)]


def test_only_one_of_many_is_rendered() -> None:
    templates: list[str] = []

    class Counted(dict[str, bytes]):
        def __getitem__(self, name: str) -> bytes:
            templates.append(name)
            return super().__getitem__(name)

        def get(self, name: str, default: Any = None) -> Any:
            templates.append(name)
            return super().get(name, default)

    files = Counted({TEMPLATE: b"args: [--gpus, {{ gpus | length }}]\n"})
    (first, *_) = requests({"backend": "mine"}, "llama.cpp", files, backends=BACKEND)
    templates.clear()
    renderer = Renderer()
    for index in range(100):
        placed = Placed((f"GPU-{index}",), 20000 + index)
        renderer.rendered(replace(first, backend_name="mine", key=ReplicaKey("chat", index), placed=placed))
    assert len(templates) <= 8


def test_a_bad_name_of_a_gpu_is_found_in_whichever_replica_has_it() -> None:
    renderer = Renderer()
    good, bad = (placed_request(project_of({}), "llama.cpp", gpus=(gpu,)) for gpu in ("GPU-a", "GPU\0"))
    renderer.rendered(good)
    with pytest.raises(SpecError) as caught:
        renderer.rendered(bad)
    assert caught.value.diagnostics[0].code == "bad-text"


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("{{ gpus | length }}", False),
        ("{% if gpus %}a{% endif %}", False),
        ("{% if not gpus or replica %}a{% elif gpus and replica %}b{% endif %}", False),
        ("{{ 'a' if gpus else 'b' }}", False),
        ("{{ gpus or 'a' }}", True),
        ("{{ 'a' if replica else gpus }}", True),
        ("{{ (gpus or [1]) | length }}", False),
        ("{{ gpus | first }}", True),
        ("{% for gpu in gpus %}{{ gpu }}{% endfor %}", True),
        ("{% set mine = gpus %}{{ mine }}", True),
        ("{% if gpus == ['a'] %}a{% endif %}", True),
        ("{% if 'a' in gpus %}a{% endif %}", True),
        ("{% if gpus[0] %}a{% endif %}", True),
    ],
)
def test_gpus_that_are_only_counted_are_not_read(source: str, read: bool) -> None:
    assert ("gpus" in names_read(Environment().parse(source))) is read


def test_names_are_read_wherever_they_stand() -> None:
    source = "{% if replica %}{{ host.name }}{% endif %}{% set a = names %}{{ range(options.x) | join }}"
    assert names_read(Environment().parse(source)) == {"replica", "host", "names", "options", "range"}
