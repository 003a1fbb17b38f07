"""Layers: files, profiles, defaults and backends over each other, and where each value comes from."""

import pytest

from deployer.spec.language import Image
from tests.unit.spec.texts import BASE, SERVICE, load_files, load_text, only_problem, problems


def service_of(*texts: str, name: str = "chat"):
    return load_files({f"{i}.yaml": text for i, text in enumerate(texts)}).spec.services[name]


def test_maps_merge_and_lists_replace_over_files():
    merged = service_of(
        SERVICE + "    args: [a, b]\n    env: {A: 1, B: 2}\n    replicas: 3\n",
        "services: {chat: {args: [c], env: {B: 3, C: 4}}}\n",
    )
    assert merged.args == ("c",)
    assert merged.env == {"A": "1", "B": "3", "C": "4"}
    assert merged.replicas == 3


APPENDED = [
    ("    args: [a]\n", "args+: [b]", ("a", "b")),
    ("    args+: [a]\n", "args+: [b]", ("a", "b")),
    ("    args+: [a]\n", "args: [b]", ("b",)),
    ("    args: [a]\n", "args: [b], args+: [c]", ("b", "c")),
    ("    args: [a]\n", "args: null, args+: [c]", ("c",)),
    ("    args: [a]\n", "args: null", ()),
    ("    args: [a]\n", "args+: b", ("a", "b")),
    ("    args: a\n", "args+: [b]", ("a", "b")),
    ("", "args+: [b]", ("b",)),
]


@pytest.mark.parametrize(("below", "above", "args"), APPENDED)
def test_appending(below, above, args):
    assert service_of(SERVICE + below, f"services: {{chat: {{{above}}}}}\n").args == args


def test_appending_through_every_layer():
    text = BASE + (
        "backends: {vllm: {args: [backend]}}\n"
        "defaults: {service: {args+: [default], container: {volumes: ['/a:/a']}}}\n"
        "profiles:\n"
        "  one: {args+: [one]}\n"
        "  two: {args+: [two], container: {volumes+: ['/b:/b']}}\n"
        "services: {chat: {model: tiny, backend: vllm, profiles: [one, two], args+: [own]}}\n"
    )
    service = load_text(text).spec.services["chat"]
    assert service.args == ("backend", "default", "one", "two", "own")
    assert service.container.volumes == ("/a:/a", "/b:/b")


def test_the_order_of_the_layers():
    layers = [
        "backends: {vllm: {version: v1}}\n",
        "defaults: {service: {version: v2}}\n",
        "profiles: {p: {version: v3}, q: {version: v4}}\n",
    ]
    own = "services: {chat: {model: tiny, backend: vllm, profiles: [p, q], %s}}\n"
    assert load_text(BASE + "".join(layers) + own % "version: v5").spec.services["chat"].version == "v5"
    assert load_text(BASE + "".join(layers) + own % "replicas: 1").spec.services["chat"].version == "v4"
    swapped = own.replace("[p, q]", "[q, p]") % "replicas: 1"
    assert load_text(BASE + "".join(layers) + swapped).spec.services["chat"].version == "v3"
    bare = own.replace("profiles: [p, q], ", "") % "replicas: 1"
    assert load_text(BASE + "".join(layers) + bare).spec.services["chat"].version == "v2"
    assert load_text(BASE + layers[0] + bare).spec.services["chat"].version == "v1"


def test_null_resets_to_the_default():
    text = BASE + (
        "defaults: {service: {replicas: 3, options: {dtype: bfloat16}, port: {bind: 0.0.0.0}, env: {A: 1, B: 2}}}\n"
        "services: {chat: {model: tiny, replicas: null, options: {dtype: ~}, port: , env: {A: }}}\n"
    )
    service = load_text(text).spec.services["chat"]
    assert (service.replicas, service.options.dtype, service.port.bind) == (1, None, "127.0.0.1")
    assert service.env == {"B": "2"}


def test_a_later_file_can_take_an_entry_away():
    project = load_files({"a.yaml": SERVICE + "  other: {model: tiny}\n", "b.yaml": "services: {other: null}\n"})
    assert list(project.spec.services) == ["chat"]


def test_an_entry_without_a_value_is_an_empty_one():
    project = load_text(SERVICE + "backends:\n  vllm:\nprofiles:\n  p:\n".replace("\n  ", "\n  "))
    assert project.spec.backends["vllm"].version is None
    assert load_text(BASE.replace("models:", "  there:\nmodels:") + "services: {}\n").spec.hosts["there"].port is None


def test_one_of_maps_replace_whole():
    files = {
        "a.yaml": SERVICE
        + "    placement: {hosts: {tier: prod}}\n    container: {files: {/a: {content: x, mode: '0700'}}}\n"
        + "secrets: {s: {env: A}}\n",
        "b.yaml": "services: {chat: {placement: {hosts: {rack: r1}}, container: {files: {/a: x}}}}\n"
        + "secrets: {s: {file: f}}\nhosts: {here: {labels: {rack: r1}}}\n",
        "x": "content",
    }
    project = load_files(files, "a.yaml", "b.yaml")
    service = project.spec.services["chat"]
    assert service.placement.hosts == {"rack": "r1"}
    assert service.container.files["/a"].path == "x"
    assert service.container.files["/a"].content is None
    assert (project.spec.secrets["s"].env, project.spec.secrets["s"].file) == (None, "f")
    assert project.spec.hosts["here"].labels == {"tier": "prod", "rack": "r1"}


def test_short_forms_merge_like_the_long_ones():
    text = BASE + "defaults: {service: {port: {bind: 0.0.0.0}}}\nservices: {chat: {model: tiny, port: 8000}}\n"
    port = load_text(text).spec.services["chat"].port
    assert (port.number, port.bind) == (8000, "0.0.0.0")


def test_a_version_takes_the_place_of_an_image_below_it():
    text = BASE + "backends: {vllm: {image: 'mine:1'}}\nservices: {chat: {model: tiny, backend: vllm%s}}\n"
    assert load_text(text % "").spec.services["chat"].image == Image(name="mine:1")
    service = load_text(text % ", version: v2").spec.services["chat"]
    assert (service.image, service.version) == (None, "v2")
    service = load_text(text % ", version: v2, image: 'x:1'").spec.services["chat"]
    assert (service.image, service.version) == (Image(name="x:1"), "v2")


def test_backends_extend_each_other_and_are_found_by_alias():
    text = BASE + (
        "backends:\n"
        "  llama.cpp: {version: b1, env: {A: 1}, args: [x]}\n"
        "  mine: {extends: llama.cpp, image: 'mine:1', env: {B: 2}}\n"
        "services:\n"
        "  a: {model: tiny, backend: mine}\n"
        "  b: {model: tiny, backend: Llama-Server}\n"
    )
    services = load_text(text).spec.services
    assert (services["a"].image, services["a"].env, services["a"].args) == (
        Image(name="mine:1"),
        {"A": "1", "B": "2"},
        ("x",),
    )
    assert (services["b"].version, services["b"].image) == ("b1", None)


def test_a_backend_that_is_chosen_later_brings_its_settings():
    text = BASE + "backends: {vllm: {version: v9, env: {A: 1}}}\n" + "services: {chat: {model: tiny, env: {B: 2}}}\n"
    project = load_text(text)
    assert project.spec.services["chat"].version is None
    chosen = project.with_backend("chat", "vllm")
    assert (chosen.version, chosen.env) == ("v9", {"A": "1", "B": "2"})
    assert project.with_backend("chat", "llama.cpp") is project.spec.services["chat"]
    named = load_text(text.replace("model: tiny,", "model: tiny, backend: vllm,"))
    assert named.with_backend("chat", "vllm") is named.spec.services["chat"]
    assert named.spec.services["chat"].version == "v9"


EXPLAINED = BASE + (
    "defaults: {service: {options: {context_length: 1024}}}\n"
    "profiles:\n"
    "  long: {options: {context_length: 32768}, args: [a]}\n"
    "services:\n"
    "  chat:\n"
    "    model: tiny\n"
    "    profiles: [long]\n"
    "    args+: [b]\n"
    "    options:\n"
    "      context_length: 8192\n"
)


def test_where_a_value_comes_from_and_what_it_overrode():
    project = load_text(EXPLAINED)
    origin = project.origins["services", "chat", "options", "context_length"]
    assert (origin.layer, str(origin.where)) == ("spec", "deploy.yaml:17:7")
    assert [(below.layer, str(below.where)) for below in origin.over] == [
        ("profile long", "deploy.yaml:10:20"),
        ("defaults", "deploy.yaml:8:32"),
    ]
    assert project.origin("services", "chat", "args", 0).layer == "profile long"
    assert project.origin("services", "chat", "args", 1).layer == "spec"
    assert project.origin("services", "chat", "replicas").layer == "edition"


def test_every_leaf_of_services_and_hosts_has_an_origin():
    project = load_text(EXPLAINED)
    assert {path for path in project.origins if path[0] == "services"} == {
        ("services", "chat", "model"),
        ("services", "chat", "profiles", 0),
        ("services", "chat", "args", 0),
        ("services", "chat", "args", 1),
        ("services", "chat", "options", "context_length"),
    }
    assert ("hosts", "here", "labels", "tier") in project.origins
    assert ("models", "tiny", "source") not in project.origins
    assert len(project.origins) == len(list(project.origins))


def test_positions_of_merged_values_and_their_nearest_parent():
    project = load_text(EXPLAINED)
    assert str(project.positions["services", "chat", "args", 0]) == "deploy.yaml:10:51"
    assert project.where("services", "chat", "options", "dtype") == project.where("services", "chat", "options")
    assert project.where("nothing") is None
    assert project.where() is None
    assert ("services", "nobody") not in project.positions
    assert len(project.positions) == len(set(project.positions))


def test_a_problem_in_a_profile_is_said_once_and_where_it_stands():
    users = "".join(f"  s{i}: {{model: tiny, profiles: [p]}}\n" for i in range(5))
    problem = only_problem(BASE + "profiles: {p: {options: {contxt: 1}}}\nservices:\n" + users)
    assert (problem.where.line, problem.where.key) == (8, "profiles.p.options.contxt")


def test_unused_profiles_defaults_and_group_defaults_are_validated_as_well():
    text = BASE + (
        "profiles: {p: {replicas: many}}\n"
        "defaults: {service: {prot: 1}}\n"
        "groups: {g: {defaults: {usr: x}}}\n"
        "services: {}\n"
    )
    assert [p.where.key for p in problems(text)] == [
        "profiles.p.replicas",
        "defaults.service.prot",
        "groups.g.defaults.usr",
    ]


def test_only_lists_are_appended_to():
    problem = only_problem(SERVICE + "    replicas+: 2\n")
    assert problem.code == "unknown-key"
    assert "only lists" in problem.hint


def test_the_files_of_two_folders():
    files = {
        "a/deploy.yaml": SERVICE + "    container: {files: {/x: start.sh}}\ninventory: inv.yaml\n",
        "b/more.yaml": "services: {chat: {container: {files: {/y: other.sh}}}}\n",
        "a/start.sh": "from a",
        "b/other.sh": "from b",
        "a/inv.yaml": "hosts: {there: {}}\n",
    }
    project = load_files(files, "a/deploy.yaml", "b/more.yaml")
    assert project.files == {"start.sh": b"from a", "other.sh": b"from b"}
    assert project.path == "a/deploy.yaml"
    assert set(project.spec.hosts) == {"here", "there"}


def test_what_people_wrote_about_a_service():
    text = BASE + (
        "vars: {v: v7}\n"
        "backends: {vllm: {env: {A: 1}}, llama.cpp: {version: b2}}\n"
        "defaults: {service: {replicas: 2}}\n"
        "services: {chat: {model: tiny, backend: vllm, version: '${var.v}', container: {files: {/x: x.sh}}}}\n"
    )
    written = load_text(text, files={"x.sh": "one"}).written["chat"]
    assert written["service"]["version"] == "v7"
    assert written["service"]["replicas"] == 2
    assert "health" not in written["service"]
    assert written["model"] == {"source": ["file:///srv/models/tiny.gguf"]}
    assert written["backends"] == {"vllm": {"env": {"A": "1"}}}
    assert written["files"].keys() == {"x.sh"}
    assert load_text(text, files={"x.sh": "two"}).written["chat"] != written
    other = text.replace("version: b2", "version: b3")
    assert load_text(other, files={"x.sh": "one"}).written["chat"] == written
    automatic = load_text(text.replace("backend: vllm, ", ""), files={"x.sh": "one"}).written["chat"]
    assert set(automatic["backends"]) == {"vllm", "llama.cpp"}
