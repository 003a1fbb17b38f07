"""Hosts of inventories, groups and the spec itself."""

import re

import pytest
from pydantic import ValidationError

from deployer.spec.language import Host
from tests.unit.spec.texts import BASE, codes, load_text, only_problem, problems

PLAIN = BASE + "services: {}\n"
INVENTORY = "version: 1\nhosts:\n  here: {user: ops, port: 2222, labels: {rack: r1}}\n  there: {address: 10.0.0.2}\n"


def test_inline_hosts_win_key_by_key():
    host = load_text(PLAIN + "inventory: inv.yaml\n", files={"inv.yaml": INVENTORY}).spec.hosts["here"]
    assert (host.connection, host.user, host.port) == ("local", "ops", 2222)
    assert host.labels == {"rack": "r1", "tier": "prod"}


def test_later_inventories_win_and_those_of_the_command_line_last():
    files = {
        "a.yaml": "hosts: {h: {user: a, port: 1, key: a}}\n",
        "b.yaml": "hosts: {h: {user: b, port: 2}}\n",
        "c.yaml": "hosts: {h: {user: c}}\n",
    }
    project = load_text(PLAIN + "inventory: [a.yaml, b.yaml]\n", files=files, inventories=("c.yaml",))
    host = project.spec.hosts["h"]
    assert (host.user, host.port, host.key) == ("c", 2, "a")
    assert project.origin("hosts", "h", "user").layer == "inventory"
    assert str(project.where("hosts", "h", "user")) == "c.yaml:1:13"


def test_group_defaults_stand_under_their_hosts():
    inventory = INVENTORY + "groups: {all: {hosts: [here, there], defaults: {user: grp, become: sudo}}}\n"
    text = (
        PLAIN
        + "inventory: inv.yaml\ngroups:\n  some: {hosts: [there], defaults: {cache_dir: /c, port: 3}}\n  list: [here]\n"
    )
    project = load_text(text, files={"inv.yaml": inventory})
    here, there = project.spec.hosts["here"], project.spec.hosts["there"]
    assert (here.user, here.become) == ("ops", "sudo")
    assert (there.user, there.become, there.cache_dir, there.port) == ("grp", "sudo", "/c", 3)
    assert project.origin("hosts", "there", "port").layer == "group some"
    assert project.spec.groups["list"].hosts == ("here",)


def test_a_host_without_settings_is_a_host():
    project = load_text(PLAIN, files={"i": "hosts:\n  a:\n  here:\n"}, inventories=("i",))
    assert set(project.spec.hosts) == {"a", "here"}
    assert project.spec.hosts["here"].connection == "local"


FOREIGN = [
    ("version: 1\nall:\n  hosts:\n    a: {}\n", "unknown-key", 2),
    ("host1\n", "not-a-map", 1),
    ("plugin: aws_ec2\n", "ansible-plugin", 1),
    ("hosts: {a: {adress: x}}\n", "unknown-key", 1),
    ("hosts: {a: {port: ssh}}\n", "wrong-type", 1),
    ("nodes: {a: {}}\n", "unknown-key", 1),
    ("services: {}\n", "unknown-key", 1),
    ("version: 2\nhosts: {}\n", "bad-value", 1),
    ("hosts: {a: {address: '${var.x}'}}\n", "unknown-variable", 1),
    ("- a\n", "not-a-map", 1),
    ("", "empty-file", 1),
]


@pytest.mark.parametrize(("inventory", "code", "line"), FOREIGN)
def test_inventories_that_are_none(inventory, code, line):
    problem = only_problem(PLAIN + "inventory: inv.yaml\n", files={"inv.yaml": inventory})
    assert (problem.code, problem.where.file, problem.where.line) == (code, "inv.yaml", line)
    assert problem.hint


def test_a_missing_inventory_is_told_where_it_is_named():
    problem = only_problem(PLAIN + "inventory: [inv.yaml]\n")
    assert (problem.code, str(problem.where)) == ("missing-file", "deploy.yaml:9:13")
    assert problems(PLAIN, inventories=("no.yaml",))[0].where is None


def test_without_an_inventory_its_hosts_are_not_called_unknown():
    text = BASE + "inventory: no.yaml\nservices: {chat: {model: tiny, placement: {hosts: [gpu-a]}}}\n"
    assert codes(text) == ["missing-file"]


def test_home_and_relative_paths():
    files = {"/home/u/inv.yaml": "hosts: {a: {}}\n", "sub/inv.yaml": "hosts: {b: {}}\n"}
    text = PLAIN + "inventory: [~/inv.yaml, ./sub/../sub/inv.yaml]\n"
    assert set(load_text(text, files=files, user_home="/home/u").spec.hosts) == {"here", "a", "b"}


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({"model_dirs": ["models"]}, "`models` is not absolute"),
        ({"proxy": {"https": "10.0.0.1:3128"}}, "a proxy is written as"),
        ({"proxy": {"https": 'http://10.0.0.1:3128"\nurl = "http://evil'}}, "a proxy is written as"),
        ({"proxy": {"no_proxy": ["a,b"]}}, "`a,b` is no name"),
    ],
)
def test_folders_and_proxies_that_cannot_be(keys: dict[str, object], what: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(what)):
        Host.model_validate(keys)


def test_folders_and_proxies() -> None:
    host = Host.model_validate(
        {
            "model_dirs": ["/data/models", "~/.cache/huggingface/hub"],
            "proxy": {"https": "http://me:word@10.0.0.1:3128", "no_proxy": [".lan", "10.0.0.0/8", "*"]},
        }
    )
    assert host.proxy is not None
    assert host.proxy.no_proxy == (".lan", "10.0.0.0/8", "*")
