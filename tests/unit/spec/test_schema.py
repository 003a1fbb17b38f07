"""The JSON Schema: sound by itself, and of one mind with `load`."""

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from deployer.spec.schema import inventory_schema, json_schema
from tests.unit.spec.texts import BASE, SERVICE

HERE = Path(__file__).parent
VALIDATOR = Draft202012Validator(json_schema())


def accepts(text: str) -> bool:
    return VALIDATOR.is_valid(yaml.safe_load(text))


def test_both_schemas_are_sound():
    Draft202012Validator.check_schema(json_schema())
    Draft202012Validator.check_schema(inventory_schema())
    assert Draft202012Validator(inventory_schema()).is_valid({"hosts": {"a": None}, "groups": {"g": ["a"]}})
    assert not Draft202012Validator(inventory_schema()).is_valid({"services": {}})


@pytest.mark.parametrize("name", ["everything.yaml", "shortest.yaml"])
def test_the_examples_are_valid(name):
    errors = list(VALIDATOR.iter_errors(yaml.safe_load((HERE / name).read_text())))
    assert not errors, errors[0].message


FORMS = [
    "port: 8000", "port: {number: 8000}", "port: ${var.p}", "port: null", "args: x", "args+: [x]", "args: [1, x]",
    "container: {volumes+: ['/a:/b'], files: {/a: ./x}}", "container: {files: {/a: {content: x, mode: '0755'}}}",
    "replicas: ${var.n}", "state: stopped", "state: ${var.s}", "x-note: {a: b}", "options: {x-y: 1}",
    "env: {A: 1, B: true, C: {secret: s}, D: null}", "options: {api_key: {secret: s}}", "placement: {gpus: 2}",
    "placement: {gpus: ['a:0']}", "placement: {hosts: {rack: r1}}", "placement: {hosts: gpu-a}", "options: null",
    "health: {ready_timeout: 20m, probe: {prompt: x}}", "container: {shm_size: 16g, ulimits: {memlock: -1}}",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_forms_people_may_write(form):
    assert accepts(SERVICE + f"    {form}\n")
    assert accepts(BASE + f"services: {{}}\nprofiles:\n  p:\n    {form}\n")
    assert accepts(BASE + f"services: {{}}\ndefaults:\n  service:\n    {form}\n")


WRONG = [
    "replica: 2", "replicas: two", "replicas+: [1]", "port: web", "port: 70000", "state: runing", "options: {dtpe: x}",
    "args: {a: b}", "container: {restart: never}", "env: {A: {sercet: x}}", "options: {api_key: plain}",
    "placement: {gpu: {modle: x}}",
]  # fmt: skip


@pytest.mark.parametrize("form", WRONG)
def test_what_load_refuses_the_schema_refuses(form):
    assert not accepts(SERVICE + f"    {form}\n")
    assert not accepts(BASE + f"services: {{}}\nprofiles:\n  p:\n    {form}\n")


def test_tops():
    assert accepts(BASE + "services: {}\ngroups: {a: [here], b: {hosts: [here], defaults: {user: x}}}\nx-a: 1\n")
    assert not accepts(BASE + "services: {}\ngroups: {b: {defaults: {usr: x}}}\n")
    assert not accepts(BASE)
    assert not accepts(BASE + "services: {}\nfoo: 1\n")


def test_keys_are_described_and_choices_listed():
    schema = json_schema()
    assert "tokens" in schema["$defs"]["Options"]["properties"]["context_length"]["description"]
    assert {"enum": ["running", "stopped"], "type": "string"} in schema["$defs"]["Service"]["properties"]["state"][
        "anyOf"
    ]
    assert schema["required"] == ["version", "project", "services"]
