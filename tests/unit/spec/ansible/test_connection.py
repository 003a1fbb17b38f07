"""How Ansible reaches a host, in the language's keys."""

import pytest

from tests.unit.spec.ansible.inventories import host_of, only_problem_of, problems_of

KEYS = [
    ("", {}),
    ("ansible_host=10.0.0.1", {"address": "10.0.0.1"}),
    ("ansible_ssh_host=10.0.0.1", {"address": "10.0.0.1"}),
    ("ansible_user=ops ansible_port=2222", {"user": "ops", "port": 2222}),
    ("ansible_user=1001", {"user": "1001"}),
    ("ansible_user=new ansible_ssh_user=old", {"user": "old"}),
    ("ansible_host= ansible_user=''", {}),
    ("ansible_ssh_port=22", {"port": 22}),
    ("ansible_ssh_private_key_file=~/.ssh/k", {"key": "~/.ssh/k"}),
    ("ansible_private_key_file=k", {"key": "k"}),
    ("ansible_connection=ssh", {}),
    ("ansible_connection=ansible.builtin.ssh", {}),
    ("ansible_connection=smart ansible_python_interpreter=/usr/bin/python3", {}),
    ("ansible_connection=local ansible_user={{x}} ansible_port=x", {"connection": "local"}),
    ("ansible_become=yes", {"become": "sudo"}),
    ("ansible_become=True ansible_become_method=sudo ansible_become_user=root", {"become": "sudo"}),
    ("ansible_become=false ansible_become_method=doas", {}),
    ("ansible_ssh_common_args='-J a,u@b:22'", {"jump": ("a", "u@b:22")}),
    ("ansible_ssh_extra_args='-o ProxyJump=a'", {"jump": ("a",)}),
    ("ansible_ssh_common_args='-J a' ansible_ssh_extra_args='-J b -p 7 -l u -i k'",
     {"jump": ("a",), "port": 7, "user": "u", "key": "k"}),
    ("ansible_port=5 ansible_user=v ansible_ssh_common_args='-p 7 -l u'", {"port": 5, "user": "v"}),
    ("ansible_user=u ansible_ssh_common_args='-J %r@b'", {"user": "u", "jump": ("u@b",)}),
    ("ansible_ssh_args='-C -o ControlMaster=auto -o ControlPersist=60s'", {}),
    ("ansible_ssh_common_args='-o ProxyJump=none'", {"jump": ()}),
    ("ansible_ssh_common_args='-o UserKnownHostsFile=~/.ssh/lab'", {"known_hosts": "~/.ssh/lab"}),
    ("ansible_ssh_private_key_file=k ansible_ssh_common_args='-o ProxyCommand=\"ssh -i k -W %h:%p b\"'",
     {"key": "k", "jump": ("b",)}),
]  # fmt: skip


@pytest.mark.parametrize(("variables", "keys"), KEYS)
def test_variables_to_keys(variables, keys):
    assert host_of(f"h {variables}\n") == keys
    assert host_of(f"[g]\nh {variables}\n") == keys


REFUSED = [
    ("ansible_password=x", "ansible-password"),
    ("ansible_ssh_pass=x", "ansible-password"),
    ("ansible_become_pass={{x}}", "ansible-password"),
    ("ansible_become_password=x ansible_connection=local", "ansible-password"),
    ("ansible_ssh_private_key_passphrase=x", "ansible-password"),
    ("ansible_connection=winrm", "ansible-connection"),
    ("ansible_connection=community.docker.docker", "ansible-connection"),
    ("ansible_become=1 ansible_become_method=su", "ansible-unsupported"),
    ("ansible_become=1 ansible_become_user=llm", "ansible-unsupported"),
    ("ansible_become=1 ansible_become_exe=/opt/pbrun", "ansible-unsupported"),
    ("ansible_become=perhaps", "bad-value"),
    ("ansible_ssh_executable=tsh", "ansible-unsupported"),
    ("ansible_ssh_common_args='-F cfg'", "ansible-ssh-option"),
    ("ansible_ssh_common_args='-o HostKeyAlias=x'", "ansible-ssh-option"),
    ("ansible_ssh_common_args='-o ProxyCommand=\"nc -x p %h %p\"'", "ansible-ssh-option"),
    ("ansible_ssh_common_args='-J %r@b'", "ansible-ssh-option"),
    ("ansible_ssh_common_args=somewhere", "ansible-ssh-option"),
    ("ansible_ssh_common_args='-W a:1'", "ansible-ssh-option"),
    ("ansible_ssh_common_args='-o ProxyCommand=\"ssh -i k -W %h:%p b\"'", "ansible-ssh-option"),
    ("ansible_host={{x}}", "ansible-jinja"),
    ("ansible_user='{% if x %}a{% endif %}'", "ansible-jinja"),
    ("ansible_host=$ANSIBLE_VAULT;1.1;AES256", "ansible-vault"),
    ("ansible_host=[1]", "ansible-not-text"),
]


@pytest.mark.parametrize(("variables", "code"), REFUSED)
def test_what_has_no_counterpart_is_refused_by_name(variables, code):
    problem = only_problem_of(f"[g]\nh[1:3] {variables}\n")  # once, for three hosts
    assert (problem.code, problem.severity, problem.where.line) == (code, "error", 2)
    assert problem.where.column > len("h[1:3]")
    assert problem.hint


UNVERIFIED = [
    "ansible_ssh_common_args='-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null'",
    "ansible_ssh_extra_args='-o \"StrictHostKeyChecking accept-new\"'",
    "ansible_ssh_common_args='-o UserKnownHostsFile=/dev/null'",
    "ansible_ssh_common_args='-o ProxyCommand=\"ssh -o StrictHostKeyChecking=no -W %h:%p b\"'",
    "ansible_host_key_checking=false",
    "ansible_ssh_host_key_checking=no",
]


@pytest.mark.parametrize("variables", UNVERIFIED)
def test_host_keys_are_verified_all_the_same(variables):
    problem = only_problem_of(f"h {variables}\n")
    assert (problem.code, problem.severity) == ("ansible-host-keys", "warning")
    assert "known_hosts" not in host_of(f"h {variables}\n")


def test_host_keys_that_ansible_checks_too_are_no_matter():
    assert host_of("h ansible_host_key_checking=true ansible_ssh_common_args='-o StrictHostKeyChecking=yes'\n") == {}


@pytest.mark.parametrize(
    "text",
    [
        "h ansible_port=x ansible_password=hunter2\n",
        "h ansible_password=hunter2 ansible_port=x\n",
        "[g]\nh ansible_port=x\n[g:vars]\nansible_become_pass = hunter2\ndb_secret=hunter2 [\n",
        "all:\n  hosts:\n    h: {ansible_port: x, ansible_password: hunter2}\n",
        "all:\n  hosts:\n    h: {db_token: 'hunter2', ansible_port: x}\n",
        "h ansible_ssh_common_args='-o ProxyCommand=\"sshpass -p hunter2 ssh -W %h:%p b\"'\n",
        "all:\n  vars: {api_key: hunter2, : x}\n  hosts: {a: {<<: hunter}}\n",
    ],
)
def test_passwords_are_never_shown(text):
    found = problems_of(text)
    assert found
    assert "hunter2" not in str(found)
