"""YAML and JSON inventories."""

import json

import pytest

from tests.unit.spec.ansible.inventories import host_of, only_problem_of, problems_of, spec_of, using

NESTED = """\
---
all:
  vars: {ansible_user: base}
  hosts:
    edge: {ansible_host: 10.0.0.9}
  children:
    prod:
      children:
        gpu:
          hosts:
            gpu[1:2]:
              ansible_port: 2222
            gpu3:
          vars:
            ansible_become: yes
        db:
    db:
      hosts: single
"""


def test_groups_in_groups():
    spec = spec_of(NESTED, name="inventory.yml")
    assert set(spec.groups["prod"].hosts) == {"gpu1", "gpu2", "gpu3", "single"}
    assert spec.groups["ungrouped"].hosts == ("edge",)
    gpu = spec.hosts["gpu2"]
    assert (gpu.user, gpu.port, gpu.become, gpu.address) == ("base", 2222, "sudo", None)
    assert (spec.hosts["edge"].address, spec.hosts["gpu3"].port) == ("10.0.0.9", None)


def test_groups_at_the_top_without_all():
    spec = spec_of("gpu:\n  hosts:\n    a:\nungrouped:\n  hosts: {b: {}}\n")
    assert spec.groups["all"].hosts == ("b", "a") or set(spec.groups["all"].hosts) == {"a", "b"}
    assert spec.groups["ungrouped"].hosts == ("b",)


def test_what_ansible_inventory_lists_as_json():
    listed = {
        "_meta": {"hostvars": {"a": {"ansible_host": "10.0.0.1", "x": 3}}},
        "all": {"children": ["ungrouped", "gpu"]},
        "gpu": {"hosts": ["a", "b"]},
    }
    spec = spec_of(json.dumps(listed, indent=4), spec=using("x"))
    assert (spec.hosts["a"].address, dict(spec.hosts["a"].vars)) == ("10.0.0.1", {"x": "3"})
    assert spec.groups["gpu"].hosts == ("a", "b")


SCALARS = [
    ("7", "7"), ("1.10", "1.10"), ("0644", "0644"), ("true", "true"), ("yes", "yes"), ("'a: b'", "a: b"),
    ("|\n        two\n        lines", "two\nlines\n"), ("!unsafe abc", "abc"), ("!!str 5", "5"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "value"), SCALARS)
def test_scalars_are_text_as_they_are_written(written, value):
    found = host_of(f"all:\n  hosts:\n    h:\n      x: {written}\n", spec=using("x"))
    assert found["vars"] == {"x": value}


def test_only_the_variables_that_the_spec_uses_are_taken():
    inventory = "all: {hosts: {h: {x: 1, y: 2, token: hf_" + "a1" * 15 + ", 80: {z: 1}, ansible_foo: 1}}}\n"
    assert host_of(inventory, spec=using("x"))["vars"] == {"x": "1"}
    template = using("x") + "backends: {mine: {extends: vllm, image: x, template: t.j2}}\n"
    found = problems_of(inventory, spec=template, files={"t.j2": "image: x\n"})
    assert "literal-secret" not in {problem.code for problem in found}


def test_of_a_doubled_key_the_last_counts_with_a_warning():
    inventory = "all:\n  hosts:\n    h: {ansible_user: a}\n    h: {ansible_user: b}\n"
    assert host_of(inventory)["user"] == "b"
    problem = only_problem_of(inventory)
    assert (problem.code, problem.severity, problem.where.line) == ("duplicate-key", "warning", 4)


def test_anchors_and_merge_keys():
    inventory = "all:\n  hosts:\n    a: &a {ansible_user: u, ansible_port: 1}\n    h: {<<: *a, ansible_port: 2}\n"
    assert host_of(inventory) == {"user": "u", "port": 2}


WRONG = [
    ("all:\n  hosts: [a, {b: c}]\n", "bad-inventory", 2),
    ("all:\n  hosts: {a: text}\n", "bad-inventory", 2),
    ("all:\n  hosts: {'a[1:': }\n", "bad-inventory", 2),
    ("all:\n  vars: [a]\n  hosts: {a: }\n", "bad-inventory", 2),
    ("all: {children: {g: text}, hosts: {a: }}\n", "bad-inventory", 1),
    ("all:\n  hosts: {a: !foo x}\n", "yaml-tag", 2),
    ("all:\n  hosts:\n\ta:\n", "tab-indentation", 3),
    ("all: {children: {a: {children: {all: }}}}\n", "circular-group", 1),
]


@pytest.mark.parametrize(("text", "code", "line"), WRONG)
def test_what_is_wrong_is_said_at_its_place(text, code, line):
    problem = next(problem for problem in problems_of(text) if problem.code == code)
    assert (problem.where.file, problem.where.line) == ("inv", line)
    assert problem.hint


def test_a_key_that_ansible_skips_is_a_warning():
    problem = only_problem_of("all:\n  hosts: {a: }\n  host: {b: }\n")
    assert (problem.code, problem.severity, problem.where.line) == ("unread-key", "warning", 3)
