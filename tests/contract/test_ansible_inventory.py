"""Our reading of Ansible's inventories beside that of `ansible-inventory` itself: hosts, groups, every variable."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deployer.spec.ansible.groups import AnsibleInventory
from deployer.spec.ansible.needed import text_of
from deployer.spec.ansible.reading import AnsibleFiles
from deployer.spec.ansible.translate import Resolved
from deployer.spec.files import Files
from deployer.workflow.inputs import read_file

BESIDE = Path(sys.executable).with_name("ansible-inventory")
PROGRAM = str(BESIDE) if BESIDE.exists() else shutil.which("ansible-inventory")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="ansible-inventory is not here: pip install ansible-core")

INI = """\
; hosts of a lab
bare
first:2222 x='1' y="two words" z=a#b
first:23 x=later

[gpu]  # two
gpu[01:03] ansible_user=ops nic="ib 0" q="'quoted'"
gpu[08:14:3].lan:2200
[db]
db-[a:c][1:2]
bare2 ansible_ssh_common_args='-o ProxyCommand="ssh -W %h:%p -q u@10.0.0.9"'

[prod:vars]
tier = prod # kept
who=prod
[prod:children]
gpu
db
[top:children]
prod
side # a comment
[side]
gpu01
[side:vars]
who=side
level=side
[gpu:vars]
who=gpu
[early]
gpu01
[early:vars]
tie=early
ansible_group_priority=5
[late]
gpu01
[late:vars]
tie=late
[all:vars]
ansible_user=base
who=all
[ungrouped:vars]
who=ungrouped
[ungrouped]
gpu02
"""
YAML = """\
---
all:
  vars: {ansible_user: base, who: all}
  hosts:
    edge: {ansible_host: 10.0.0.9}
    "six[1:2]:2022": {x: "a b"}
  children:
    prod:
      vars: {who: prod}
      children:
        gpu:
          hosts:
            gpu[1:3]: &gpu {ansible_port: 2222, nic: ib0}
            gpu9: {<<: *gpu, nic: ib1}
            "[2001:db8::1]:22":
          vars: {who: gpu, cpus: 64}
        db:
    db:
      hosts: single
    empty:
other:
  hosts:
    gpu1: {nic: other}
    single:
  vars: {who: other, ansible_group_priority: 3}
"""
VARIABLES = {
    "group_vars/all.yml": "fall: all\nwho2: all\n",
    "group_vars/gpu/10.yml": "f10: gpu\nwho2: gpu\n",
    "group_vars/gpu/20": "f10: over\n",
    "group_vars/gpu/sub/x.yaml": "below: deep\n",
    "group_vars/gpu/x.bak": "f10: backup\n",
    "group_vars/gpu.yml": "hidden_by_folder: true\n",
    "group_vars/db": "plain: file\n",
    "group_vars/db.yml": "hidden_by_file: true\n",
    "group_vars/prod.json": '{"json": "text", "who": "prod file"}',
    "group_vars/side.yaml": "who: side file\n",
    "group_vars/ungrouped.yml": "lonely: text\n",
    "host_vars/gpu01.yml": "ansible_user: file\nwho: host file\n",
    "host_vars/gpu1/main.yml": "who: host folder\n",
}


def run(folder: Path, *arguments: str) -> bytes:
    """What it prints, started elsewhere: the variables beside a playbook would count too."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    argv = [str(PROGRAM), "--list", *arguments]
    return subprocess.run(argv, cwd=elsewhere, env=environment, capture_output=True, timeout=120, check=True).stdout


def theirs(folder: Path, *names: str) -> tuple[dict, dict]:
    found = json.loads(run(folder, *(word for name in names for word in ("-i", str(folder / name)))))
    variables = found.pop("_meta")["hostvars"]

    def members(group: str) -> set[str]:
        entry = found.get(group, {})
        return set(entry.get("hosts", ())).union(*map(members, entry.get("children", ())))

    groups = {name: members(name) for name in {*found, *(c for e in found.values() for c in e.get("children", ()))}}
    texts = {host: {name: str(value) for name, value in variables.get(host, {}).items()} for host in groups["all"]}
    return texts, {name: hosts for name, hosts in groups.items() if hosts}


def ours(folder: Path, *names: str) -> tuple[dict, dict]:
    files = Files(read_file, "~", confined=False)
    ansible = AnsibleFiles(files)
    for name in names:
        assert ansible.take(read_file(str(folder / name)), str(folder / name)), files.problems.found
    inventory: AnsibleInventory = ansible.inventory
    inventory.settle()
    resolved = Resolved(inventory, files)
    variables = {
        host.name: {name: text_of(node) for name, node in resolved.variables(host).items()}
        for host in inventory.hosts.values()
    }
    groups = {group.name: set(inventory.members(group)) for group in inventory.groups.values()}
    assert files.problems.found == []
    return variables, {name: hosts for name, hosts in groups.items() if hosts}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = {**VARIABLES, "hosts.ini": INI, "hosts.yml": YAML, "ini": INI, "again/more": "[gpu]\nlast\n[db]\ngpu9\n"}
    texts["again/group_vars/gpu.yml"] = "who2: again\n"
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("names", [("hosts.ini",), ("hosts.yml",), ("hosts.yml", "again/more", "ini")])
def test_the_same_hosts_groups_and_variables(folder, names):
    assert ours(folder, *names) == theirs(folder, *names)


def export(folder: Path, *form: str) -> str:
    """What the remedy for plugins and scripts writes, in a folder without variables beside it."""
    (folder / "alone").mkdir()
    (folder / "alone" / "exported.yaml").write_bytes(run(folder, "-i", str(folder / "hosts.yml"), *form))
    return "alone/exported.yaml"


@pytest.mark.parametrize("form", [[], ["--yaml"]])
def test_what_it_lists_is_read_as_what_it_was_made_of(folder, form):
    assert ours(folder, export(folder, *form)) == ours(folder, "hosts.yml")


def test_an_export_with_variables_at_their_groups_is_read_as_by_ansible(folder):
    exported = export(folder, "--yaml", "--export")
    assert ours(folder, exported) == theirs(folder, exported)
