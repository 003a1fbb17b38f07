"""Vault, Jinja and plugins by name; what nobody needs does not matter."""

import pytest

from tests.unit.spec.ansible.inventories import PLAIN, host_of, only_problem_of, problems_of, spec_of, using
from tests.unit.spec.texts import problems

VAULTED = "!vault |\n        $ANSIBLE_VAULT;1.1;AES256\n        3132\n"
TREE = "all:\n  hosts:\n    h:\n"
UNUSABLE = [
    (VAULTED, "ansible-vault"),
    ("'{{ y }}'", "ansible-jinja"),
    ("a{% if y %}b{% endif %}", "ansible-jinja"),
    ("[a, b]", "ansible-not-text"),
    ("{a: b}", "ansible-not-text"),
    ("{__ansible_vault: x}", "ansible-vault"),
    ("", "ansible-not-text"),
]


@pytest.mark.parametrize(("value", "code"), UNUSABLE)
def test_variables_without_text_matter_only_where_they_are_used(value, code):
    inventory = f"{TREE}      x: {value}\n"
    assert host_of(inventory) == {}
    problem = only_problem_of(inventory, spec=using("x"))
    assert (problem.code, str(problem.where)) == (code, "inv:4:7")
    assert problem.evidence == ("`${host.vars.x}` is used at deploy.yaml:9:7",)
    assert problem.hint


def test_a_value_on_top_takes_the_place_of_a_template():
    inventory = "[g]\nh x=plain ansible_host=10.0.0.1\n[g:vars]\nx={{ y }}\nansible_host={{ z }}\n"
    assert host_of(inventory, spec=using("x")) == {"address": "10.0.0.1", "vars": {"x": "plain"}}
    inline = using("x") + "hosts: {h: {vars: {x: mine}}}\n"
    assert host_of("[g]\nh x={{y}}\n", spec=inline) == {"vars": {"x": "mine"}}


def test_only_hosts_where_the_service_may_run_must_have_the_variable():
    inventory = "[a]\nh x=1\n[b]\ni x={{y}}\n"
    spec = using("x").replace("    env:", "    placement: {hosts: [a]}\n    env:")
    assert spec_of(inventory, spec=spec).hosts["h"].vars == {"x": "1"}
    assert only_problem_of(inventory, spec=using("x")).code == "ansible-jinja"


def test_a_variable_that_no_host_has_gets_a_suggestion():
    problem = only_problem_of("h nic_name=ib0\n", spec=using("nic_nam"))
    assert (problem.code, problem.hint) == ("unknown-host-variable", "did you mean `host.vars.nic_name`?")


FOREIGN = [
    ("plugin: amazon.aws.aws_ec2\nregions: [x]\n", "inv.yml", "ansible-plugin", "amazon.aws.aws_ec2"),
    ("{plugin: constructed}", "inv", "ansible-plugin", "constructed"),
    ("#!/usr/bin/env python3\nprint('{}')\n", "ec2.py", "ansible-plugin", "ec2.py"),
    ("[all.hosts]\na = {}\n", "inv.toml", "ansible-plugin", "toml"),
    ("$ANSIBLE_VAULT;1.1;AES256\n3132\n", "inv", "ansible-vault", "inv"),
]


@pytest.mark.parametrize(("text", "name", "code", "named"), FOREIGN)
def test_inventories_that_are_made_elsewhere(text, name, code, named):
    found = problems(PLAIN + f"inventory: {name}\n", files={name: text})
    assert [problem.code for problem in found] == [code]
    assert f"`{named}`" in found[0].message
    assert (found[0].where.file, found[0].where.line) == (name, 1)
    assert found[0].hint


def test_a_vaulted_file_of_variables():
    problem = only_problem_of("[g]\nh\n", files={"group_vars/g.yml": "$ANSIBLE_VAULT;1.1;AES256\n3132\n"})
    assert (problem.code, problem.severity, problem.where.file) == ("ansible-vault", "error", "group_vars/g.yml")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("- a\n", "not-a-map"),
        ("a: [\n", "yaml-syntax"),
        ("a: !x y\n", "yaml-tag"),
        ("a: 1\n---\nb: 2\n", "several-documents"),
    ],
)
def test_files_of_variables_that_are_none(text, code):
    found = problems_of("[g]\nh\ni\n", files={"group_vars/g.yml": text})
    assert [(problem.code, problem.where.file) for problem in found] == [(code, "group_vars/g.yml")]


def test_empty_files_of_variables_are_fine():
    assert host_of("[g]\nh\n", files={"group_vars/g.yml": "---\n# nothing\n", "host_vars/h.yml": ""}) == {}


def test_a_group_named_like_a_host_stands_for_the_host():
    problem = only_problem_of("[web]\nweb\n")
    assert (problem.code, problem.severity) == ("name-taken", "warning")


def test_there_can_be_too_many_hosts():
    assert only_problem_of("a[1:6000]\nb[1:6000]\n").code == "too-many-values"


def test_groups_can_be_nested_too_deeply():
    text = "".join(f"[g{i}:children]\ng{i + 1}\n" for i in range(60)) + "[g60]\nh\n"
    assert only_problem_of(text).code == "nested-too-deeply"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hosts:\n  h: {address: 10.0.0.1}\n", "inv"),
        ("version: 1\ngroups: {g: [h]}\nhosts: {h: {}}\n", "inv.yml"),
        ("# all:\n{hosts: {h: {}}}\n", "inv"),
        ("x-note: {hosts: a}\nhosts:\n  h:\n", "inv.yaml"),
    ],
)
def test_deployers_own_inventories_stay_so(text, name):
    assert set(spec_of(text, name=name).hosts) == {"h"}
    assert "inventory" not in {p.code for p in problems_of(text, name=name)}
