"""What the spec says reaches the container, and wins over backend and template."""

from __future__ import annotations

import base64
import json
from dataclasses import fields
from typing import Any

import pytest

from deployer import backends
from deployer.errors import SpecError
from deployer.planning.render import choose_image, render_container
from deployer.planning.render_docker import refused_extra
from deployer.planning.render_options import check_options
from deployer.planning.served import served_names
from deployer.spec.language import BackendPin, Container, Service
from deployer.values.container import (
    ContainerSpec,
    Healthcheck,
    Mount,
    PortBinding,
    SecretFile,
    ShippedFile,
    Ulimit,
)
from deployer.values.secrets import SecretRef
from tests.support.rendering import model_facts, placed_request, project_of

GPUS = ("GPU-aaaa", "GPU-bbbb")
VLLM = backends.find("vllm")
LLAMA = backends.find("llama.cpp")
assert VLLM is not None
assert LLAMA is not None


def rendered(service: dict[str, Any], backend: str = "llama.cpp", **placed: Any) -> ContainerSpec:
    files = placed.pop("files", None)
    sections = placed.pop("sections", {})
    return render_container(placed_request(project_of(service, files, **sections), backend, **placed))


def refusal(service: dict[str, Any], backend: str = "llama.cpp", **placed: Any) -> str:
    with pytest.raises(SpecError) as caught:
        rendered(service, backend, **placed)
    return caught.value.diagnostics[0].code


def pairs(spec: ContainerSpec, flag: str) -> str:
    return spec.command[spec.command.index(flag) + 1]


# what a key of `container` becomes: value as written, field, value in the container
KEYS: list[tuple[str, Any, str, Any]] = [
    ("shm_size", "16g", "shm_size", 16 * 2**30),
    ("runtime", "nvidia", "runtime", "nvidia"),
    ("user", "${host.uid}:${host.gid}", "user", "1000:1001"),
    ("group_add", ["video"], "group_add", ("video",)),
    ("network", "models", "network", "models"),
    ("network_aliases", ["chat"], "network_aliases", ("chat",)),
    ("hostname", "chat", "hostname", "chat"),
    ("ipc", "shareable", "ipc", "shareable"),
    ("pid", "host", "pid", "host"),
    ("uts", "host", "uts", "host"),
    ("tmpfs", {"/tmp": "size=1g"}, "tmpfs", {"/tmp": "size=1g"}),
    ("files", {"/x": {"content": "hi", "mode": "0755", "uid": 7}}, "files", {"/x": ShippedFile("aGk=", 0o755, 7)}),
    ("secret_files", {"/run/k": "key"}, "secret_files", {"/run/k": SecretFile(SecretRef("key"))}),
    ("command", ["a", "b"], "command", ("a", "b")),
    ("entrypoint", "/bin/x", "entrypoint", ("/bin/x",)),
    ("working_dir", "/work", "working_dir", "/work"),
    ("devices", ["/dev/fuse"], "devices", ("/dev/fuse",)),
    ("cap_add", ["IPC_LOCK"], "cap_add", ("IPC_LOCK",)),
    ("cap_drop", ["ALL"], "cap_drop", ("ALL",)),
    ("security_opt", ["no-new-privileges"], "security_opt", ("no-new-privileges",)),
    ("privileged", True, "privileged", True),
    ("read_only", True, "read_only", True),
    ("init", True, "init", True),
    ("sysctls", {"net.core.somaxconn": 1024}, "sysctls", {"net.core.somaxconn": "1024"}),
    ("ulimits", {"memlock": -1}, "ulimits", {"memlock": Ulimit(-1, -1)}),
    ("ulimits", {"nofile": {"soft": 1, "hard": 2}}, "ulimits", {"nofile": Ulimit(1, 2)}),
    ("memory", "1g", "memory", 2**30),
    ("memory_swap", -1, "memory_swap", -1),
    ("cpus", 1.5, "cpus", 1.5),
    ("cpuset_cpus", "0-3", "cpuset_cpus", "0-3"),
    ("cpuset_mems", 0, "cpuset_mems", "0"),
    ("pids_limit", 100, "pids_limit", 100),
    ("oom_score_adj", -500, "oom_score_adj", -500),
    ("dns", ["10.0.0.1"], "dns", ("10.0.0.1",)),
    ("extra_hosts", ["a:10.0.0.1"], "extra_hosts", ("a:10.0.0.1",)),
    ("labels", {"team": "x"}, "labels", {"team": "x"}),
    ("stop_grace", "90s", "stop_grace", 90.0),
    ("stop_signal", "SIGINT", "stop_signal", "SIGINT"),
    ("healthcheck", "none", "healthcheck", Healthcheck(())),
    ("healthcheck", {"test": "curl x", "retries": 3}, "healthcheck", Healthcheck(("CMD-SHELL", "curl x"), retries=3)),
    ("healthcheck", {"test": ["curl", "x"]}, "healthcheck", Healthcheck(("CMD", "curl", "x"))),
    ("healthcheck", {"test": ["CMD-SHELL", "x y"]}, "healthcheck", Healthcheck(("CMD-SHELL", "x y"))),
    ("healthcheck", {"test": "NONE"}, "healthcheck", Healthcheck(())),
    ("healthcheck", {"interval": "5s"}, "healthcheck", Healthcheck(None, interval=5.0)),
    ("log", {"max_size": "1m", "max_file": 2}, "log_options", {"max-size": "1m", "max-file": "2"}),
    ("log", {"driver": "journald", "options": {"tag": "x"}}, "log_options", {"tag": "x"}),
    ("log", {"driver": "journald"}, "log_driver", "journald"),
    ("restart", "no", "restart", "no"),
    ("extra", {"HostConfig": {"CpuShares": 5}}, "extra", {"HostConfig": {"CpuShares": 5}}),
    ("volumes", ["/a:/b"], "mounts", (Mount("/srv/models/tiny.gguf", "/models/tiny.gguf", True), Mount("/a", "/b"))),
]  # fmt: skip


@pytest.mark.parametrize(("key", "written", "field", "value"), KEYS, ids=lambda v: v if isinstance(v, str) else "")
def test_a_key_of_container_reaches_the_container(key: str, written: Any, field: str, value: Any) -> None:
    assert getattr(rendered({"container": {key: written}}), field) == value


def test_every_key_of_container_is_tested_and_every_field_is_set() -> None:
    assert {key for key, *_ in KEYS} == set(Container.model_fields)
    elsewhere = {"image", "env", "ports", "gpus"}
    assert {field for _, _, field, _ in KEYS} | elsewhere == {f.name for f in fields(ContainerSpec)}


def test_the_shortest_service() -> None:
    spec = rendered({})
    assert spec.image == "ghcr.io/ggml-org/llama.cpp:server"
    assert spec.ports == (PortBinding(8080, 20000, "127.0.0.1"),)
    assert spec.mounts == (Mount("/srv/models/tiny.gguf", "/models/tiny.gguf", read_only=True),)
    assert spec.env == {"LLAMA_ARG_OFFLINE": "1"}
    assert spec.restart == "always"
    assert spec.log_options == {"max-size": "100m", "max-file": "3"}
    assert spec.gpus == ()


def test_env_and_args_of_the_service_win_and_come_last() -> None:
    spec = rendered({"env": {"LLAMA_ARG_OFFLINE": 0, "TOKEN": {"secret": "hf"}}, "args": ["--threads", 4]})
    assert spec.env == {"LLAMA_ARG_OFFLINE": "0", "TOKEN": SecretRef("hf")}
    assert spec.command[-2:] == ("--threads", "4")


def test_command_replaces_the_arguments_wholly() -> None:
    assert rendered({"args": ["--x"], "container": {"command": []}}).command == ()


def test_substitutions_of_a_placed_replica() -> None:
    service = {
        "port": {"number": 8001},
        "args": ["${host.name} ${host.address} ${port} ${replica.index} ${gpu.uuids}", "${model.path}", "$${x}"],
        "env": {"IF": "${host.vars.nic}", "WHO": "${host.user}@${service.name}.${project}"},
    }
    spec = rendered(service, gpus=GPUS, port=8001)
    assert spec.command[-3:] == ("gpu-a gpu-a 8001 0 GPU-aaaa,GPU-bbbb", "/models/tiny.gguf", "${x}")
    assert spec.env["IF"] == "ib0"
    assert spec.env["WHO"] == "ops@chat.demo"


def test_a_variable_that_this_host_lacks_is_said_with_service_and_host() -> None:
    with pytest.raises(SpecError) as caught:
        rendered({"env": {"IF": "${host.vars.nope}"}})
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "unknown-substitution"
    assert "`chat`" in diagnostic.message
    assert "`gpu-a`" in diagnostic.message


def test_values_are_not_substituted_twice() -> None:
    sections = {"hosts": {"gpu-a": {"vars": {"nic": "${port}"}}}}
    assert rendered({"env": {"IF": "${host.vars.nic}"}}, sections=sections).env["IF"] == "${port}"


def test_host_network_publishes_nothing_and_listens_where_it_is_asked_to() -> None:
    spec = rendered({"container": {"network": "host"}, "port": {"number": 9000, "bind": "10.0.0.1"}}, port=9000)
    assert spec.ports == ()
    assert pairs(spec, "--port") == "9000"
    assert pairs(spec, "--host") == "10.0.0.1"
    assert spec.healthcheck == Healthcheck(())  # the image's own asks port 8080


@pytest.mark.parametrize("network", ["none", "container:other"])
def test_networks_that_publish_nothing(network: str) -> None:
    assert rendered({"container": {"network": network}}).ports == ()


def test_a_container_port_of_ones_own() -> None:
    spec = rendered({"port": {"container": 9999}})
    assert spec.ports == (PortBinding(9999, 20000, "127.0.0.1"),)
    assert pairs(spec, "--port") == "9999"
    assert spec.healthcheck == Healthcheck(())


def test_a_health_check_of_ones_own_stays_on_another_port() -> None:
    spec = rendered({"port": {"container": 9999}, "container": {"healthcheck": {"test": "true"}}})
    assert spec.healthcheck == Healthcheck(("CMD-SHELL", "true"))


def test_all_parts_of_a_split_model_lie_beside_each_other() -> None:
    parts = [f"/srv/r1/m-0000{n}-of-00002.gguf" for n in (1, 2)]
    spec = rendered({}, model=model_facts(parts[0], parts))
    assert [m.target for m in spec.mounts] == ["/models/m-00001-of-00002.gguf", "/models/m-00002-of-00002.gguf"]
    assert all(m.read_only for m in spec.mounts)
    assert pairs(spec, "-m") == "/models/m-00001-of-00002.gguf"


@pytest.mark.parametrize(
    ("container", "gpus", "size"),
    [
        ({}, GPUS, int(10.24 * 2**30)),
        ({}, GPUS[:1], None),
        ({"shm_size": "1g"}, GPUS, 2**30),
        ({"ipc": "host"}, GPUS, None),
        ({"ipc": "host", "shm_size": "1g"}, GPUS, None),
    ],
)
def test_shared_memory(container: dict[str, Any], gpus: tuple[str, ...], size: int | None) -> None:
    assert rendered({"container": container}, "vllm", gpus=gpus).shm_size == size


def test_one_api_key_goes_by_the_environment() -> None:
    spec = rendered({"options": {"api_key": {"secret": "a"}}})
    assert spec.env["LLAMA_API_KEY"] == SecretRef("a")
    assert spec.secret_names == ("a",)
    assert spec.secret_files == {}


def test_several_api_keys_go_by_a_file_that_the_server_can_read() -> None:
    service = {"options": {"api_key": [{"secret": "a"}, {"secret": "b"}]}, "container": {"user": "12:34"}}
    spec = rendered(service)
    ((path, file),) = spec.secret_files.items()
    assert pairs(spec, "--api-key-file") == path
    assert file == SecretFile(SecretRef("a"), uid=12, gid=34, more=(SecretRef("b"),))
    assert spec.secret_names == ("a", "b")
    assert "LLAMA_API_KEY" not in spec.env


def test_a_chat_template_of_the_controller_is_shipped() -> None:
    spec = rendered({"options": {"chat_template": "./chat.jinja"}}, files={"./chat.jinja": b"{{ x }}"})
    path = pairs(spec, "--chat-template-file")
    assert base64.b64decode(spec.files[path].data) == b"{{ x }}"


def test_a_chat_template_that_is_no_file_is_a_name() -> None:
    spec = rendered({"options": {"chat_template": "chatml"}})
    assert pairs(spec, "--chat-template") == "chatml"
    assert spec.files == {}


def test_context_is_what_one_request_may_have() -> None:
    assert pairs(rendered({"options": {"context_length": 4096}}), "-c") == "4096"
    assert pairs(rendered({"options": {"context_length": 4096, "max_concurrency": 4}}), "-c") == "16384"


@pytest.mark.parametrize(
    ("offload", "gpus", "layers"),
    [
        (None, GPUS, "999"),
        ("auto", GPUS, "auto"),
        ("none", GPUS, "999"),
        (20, GPUS, "20"),
        (7.0, (), "7"),
        (None, (), None),
    ],
)
def test_layers_on_the_gpu_are_always_said(offload: Any, gpus: tuple[str, ...], layers: str | None) -> None:
    spec = rendered({"options": {"cpu_offload": offload}}, gpus=gpus)
    assert (pairs(spec, "-ngl") if "-ngl" in spec.command else None) == layers


@pytest.mark.parametrize(
    ("options", "gpus", "size"),
    [
        ({}, ("a",), None),
        ({}, ("a", "b", "c", "d"), "4"),
        ({"pipeline_parallel": 2}, ("a", "b", "c", "d"), "2"),
        ({"pipeline_parallel": 2, "data_parallel": 2}, ("a", "b", "c", "d"), None),
        ({"tensor_parallel": 1}, ("a",), "1"),
        ({}, (), None),
    ],
)
def test_tensor_parallel_follows_the_gpus(options: dict[str, int], gpus: tuple[str, ...], size: str | None) -> None:
    spec = rendered({"options": options}, "vllm", gpus=gpus)
    flag = "--tensor-parallel-size"
    assert (pairs(spec, flag) if flag in spec.command else None) == size


def test_gpu_memory_is_a_share_of_the_gpu() -> None:
    spec = rendered({"options": {"gpu_memory": "20g"}}, "vllm", gpus=GPUS[:1])
    assert pairs(spec, "--gpu-memory-utilization") == "0.25"
    assert refusal({"options": {"gpu_memory": "20g"}}, "vllm") == "gpu-memory-unknown"


def test_a_value_that_begins_with_a_dash_stays_a_value() -> None:
    assert "--quantization=-x" in rendered({"options": {"quantization": "-x"}}, "vllm").command


def test_compile_caches_are_the_services_own_and_made_by_deployer() -> None:
    (cache,) = [m for m in rendered({}, "vllm").mounts if m.create]
    assert cache.source == "/var/lib/deployer/cache/compile/demo/chat/vllm"
    assert not cache.read_only
    (other,) = [m for m in rendered({}, "vllm", sections={"id": "abc"}).mounts if m.create]
    assert other.source == "/var/lib/deployer/cache/compile/demo-abc/chat/vllm"


def test_a_volume_of_the_spec_takes_the_place_of_ours() -> None:
    spec = rendered({"container": {"volumes": ["/data/cache:/root/.cache/vllm/"]}}, "vllm")
    assert [m.source for m in spec.mounts if "cache" in m.target] == ["/data/cache"]


@pytest.mark.parametrize(
    ("service", "code"),
    [
        ({"env": {"A": "x\0y"}}, "bad-text"),
        ({"args": ["\0"]}, "bad-text"),
        ({"args": ["\ud800"]}, "bad-text"),
        ({"container": {"working_dir": "/\0"}}, "bad-text"),
        ({"env": {"A=B": "x"}}, "bad-variable"),
        ({"env": {"": "x"}}, "bad-variable"),
        ({"container": {"labels": {"deployer.project": "x"}}}, "reserved-label"),
        ({"container": {"extra": {"image": "x"}}}, "extra-refused"),
        ({"container": {"extra": {"hostconfig": {"autoremove": True}}}}, "extra-refused"),
        ({"container": {"extra": {"HostConfig": {}, "hostConfig": {"AutoRemove": True}}}}, "extra-refused"),
        ({"container": {"extra": {"HostConfig": "x", "HOSTCONFIG": {"RestartPolicy": {}}}}}, "extra-refused"),
        ({"container": {"volumes": ["./a:/b"]}}, "bad-volume"),
        ({"container": {"volumes": ["/a:/b", "/c:/b/"]}}, "bad-volume"),
        ({"container": {"files": {"etc/x": {"content": ""}}}}, "bad-file-target"),
        ({"container": {"files": {"/etc/../x": {"content": ""}}}}, "bad-file-target"),
        ({"container": {"files": {"/etc/": {"content": ""}}}}, "bad-file-target"),
        ({"container": {"files": {"/etc/x": "./missing"}}}, "no-such-file"),
        ({"container": {"secret_files": {"k": "key"}}}, "bad-file-target"),
        ({"container": {"read_only": True, "secret_files": {"/k": "key"}}}, "read-only-files"),
    ],
)
def test_what_cannot_be_is_refused(service: dict[str, Any], code: str) -> None:
    assert refusal(service) == code


def test_extra_may_say_anything_else() -> None:
    assert refused_extra({"HostConfig": {"CpuShares": 1}, "Tty": True}) is None
    assert refused_extra({"HostConfig": "nonsense"}) is None


TEMPLATES = {
    "mine.j2": b"args: [{{ model.path }}]\nenv: {A: {{ listen.port }}, B: ~}\n"
    b"cap_add: [IPC_LOCK]\nshm_size: 1g\ncaches: {x: /x}"
}


def extended(service: dict[str, Any], templates: dict[str, bytes] = TEMPLATES) -> ContainerSpec:
    sections = {"backends": {"mine": {"extends": "llama.cpp", "template": "mine.j2"}}}
    return rendered({"backend": "mine", **service}, files=templates, sections=sections)


def test_a_template_of_the_spec() -> None:
    spec = extended({"container": {"cap_add": ["SYS_NICE"]}, "args": ["--x"]})
    assert spec.command == ("/models/tiny.gguf", "--x")
    assert spec.env == {"LLAMA_ARG_OFFLINE": "1", "A": "8080"}
    assert spec.cap_add == ("IPC_LOCK", "SYS_NICE")
    assert spec.shm_size == 2**30
    assert [m.target for m in spec.mounts] == ["/models/tiny.gguf", "/x"]


def test_the_spec_wins_over_its_template() -> None:
    assert extended({"container": {"shm_size": "2g"}, "env": {"A": "mine"}}).shm_size == 2**31


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (b"arg: []", "did you mean `args`?"),
        (b"[1]", "a list"),
        (b"", "nothing"),
        (b"args: x", "must be a list"),
        (b"args: [[1]]", "texts and numbers"),
        (b"env: [1]", "must be a map"),
        (b"caches: {x: relative}", "absolute"),
        (b"data: [1]", "must be a map"),
        (b"data: {relative: 1}", "absolute"),
        (b"shm_size: lots", "`shm_size`"),
        (b"ulimits: {a: b}", "`ulimits.a"),
        (b"\xff", "UTF-8"),
    ],
)
def test_a_template_that_says_something_else_is_refused(template: bytes, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        extended({}, {"mine.j2": template})
    assert caught.value.diagnostics[0].code == "bad-template"
    assert said in caught.value.diagnostics[0].message


def test_a_template_ships_data_as_a_file_that_can_be_read() -> None:
    source = b"args: []\ndata:\n  /etc/own.json: {names: {{ names }}, 'on': true, say: {{ 'a: \xc3\xa9' }}}\n"
    ((path, shipped),) = extended({"served_name": ["a", "b"]}, {"mine.j2": source}).files.items()
    assert path == "/etc/own.json"
    text = base64.b64decode(shipped.data).decode()
    assert json.loads(text) == {"names": ["a", "b"], "on": True, "say": "a: é"}
    assert "é" in text


def test_a_template_may_refuse_what_only_it_knows() -> None:
    is_long = b"{% if (options.context_length or 0) > 4096 %}"
    source = b"args: []\n" + is_long + b"{% set refused = refuse('context_length', 'it holds 4096') %}{% endif %}\n"
    assert extended({"options": {"context_length": 4096}}, {"mine.j2": source}).command == ()
    with pytest.raises(SpecError) as caught:
        extended({"options": {"context_length": 8192}}, {"mine.j2": source})
    (problem,) = caught.value.diagnostics
    assert problem.code == "option-refused"
    assert "cannot be given `context_length`: it holds 4096 (service `chat`)" in problem.message
    assert problem.hint == "remove `context_length`"


def test_a_template_may_read_options_that_its_backend_does_not_know() -> None:
    sections = {"backends": {"acme": {"extends": "container", "template": "acme.j2"}}}
    project = project_of(
        {"backend": "acme", "image": "acme:1", "options": {"context_length": 512, "dtype": "auto"}},
        {"acme.j2": b"args: [{{ options.context_length }}]"},
        **sections,
    )
    request = placed_request(project, "container")
    assert render_container(request).command == ("512",)
    (problem,) = check_options(project, "chat", request.backend)
    assert problem.message.startswith("`container` has no `dtype`")


def test_a_template_that_is_not_there_is_said() -> None:
    with pytest.raises(SpecError, match="no such file"):
        extended({}, {})


@pytest.mark.parametrize(
    ("service", "pin", "backend", "gpus", "image"),
    [
        ({}, None, VLLM, True, "vllm/vllm-openai:v0.33.0"),
        ({}, None, VLLM, False, "vllm/vllm-openai-cpu:v0.33.0"),
        ({}, None, LLAMA, True, "ghcr.io/ggml-org/llama.cpp:server-cuda"),
        ({}, None, LLAMA, False, "ghcr.io/ggml-org/llama.cpp:server"),
        ({"version": "b4719"}, None, LLAMA, False, "ghcr.io/ggml-org/llama.cpp:server-b4719"),
        ({}, {"version": "0.11.2"}, VLLM, True, "vllm/vllm-openai:v0.11.2"),
        ({}, {"version": "v1", "image": "x/y:1"}, VLLM, True, "x/y:1"),
        ({"version": "v0.9.2"}, {"image": "x/y:1"}, VLLM, True, "vllm/vllm-openai:v0.9.2"),
        ({"version": "v0.9.2", "image": "a/b"}, {"image": "x/y:1"}, VLLM, True, "a/b"),
        ({"version": "nightly"}, None, VLLM, True, "vllm/vllm-openai:nightly"),
    ],
)
def test_images(service: dict[str, Any], pin: dict[str, Any] | None, backend: Any, gpus: bool, image: str) -> None:
    written = Service.model_validate({"model": "m", **service})
    assert choose_image(written, BackendPin.model_validate(pin) if pin else None, backend, gpus) == image


def test_served_names() -> None:
    assert served_names(Service(model="m")) == ("m",)
    assert served_names(Service(model="m", served_name=("a", "b"))) == ("a", "b")
    assert pairs(rendered({"served_name": ["a", "b"]}), "--alias") == "a,b"
