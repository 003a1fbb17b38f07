"""What `ssh -G` prints becomes an endpoint."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.errors import HostError
from deployer.spec.language import Host
from deployer.transport.asking import Jump, ask_openssh, effective_lines, parse_settings
from deployer.transport.base import ConnectOptions
from deployer.transport.plainconfig import is_plain, parse_lines, plain_settings
from deployer.transport.sshconfig import Endpoint, check_address, endpoint_from, parse_jump, resolve

# `ssh -G` of OpenSSH 9.2, what matters of it
PRINTED = """\
host gpu-a
user ops
hostname 10.0.0.11
port 2222
identitiesonly yes
stricthostkeychecking accept-new
connecttimeout 7
identityfile ~/.ssh/%r_%h
identityfile /keys/two
certificatefile /keys/two-cert.pub
identityagent none
userknownhostsfile /k/one /k/two
globalknownhostsfile /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2
proxyjump root@bastion:2200,[fd00::1]:22
"""


def test_everything_that_matters_is_taken() -> None:
    endpoint = endpoint_from(Jump("gpu-a"), parse_settings(PRINTED))
    home = str(Path.home())
    assert endpoint == Endpoint(
        alias="gpu-a",
        hostname="10.0.0.11",
        user="ops",
        port=2222,
        keys=(f"{home}/.ssh/ops_10.0.0.11", "/keys/two"),
        certificates=("/keys/two-cert.pub",),
        identities_only=True,
        agent=None,
        jumps=(Jump("bastion", "root", 2200), Jump("fd00::1", None, 22)),
        known_hosts=("/k/one", "/k/two", "/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"),
        strict="accept-new",
        connect_timeout=7.0,
    )
    assert endpoint.known_as == "[10.0.0.11]:2222"


def test_what_the_spec_says_wins_over_the_configuration() -> None:
    endpoint = endpoint_from(Jump("gpu-a", "root", 22), parse_settings(PRINTED))
    assert (endpoint.user, endpoint.port, endpoint.known_as) == ("root", 22, "10.0.0.11")


def test_an_alias_names_the_known_host() -> None:
    endpoint = endpoint_from(Jump("a"), {"hostkeyalias": ["Fleet"], "port": ["2222"], "hostname": ["h"]})
    assert endpoint.known_as == "fleet"


@pytest.mark.parametrize("keyword", ["proxyjump", "proxycommand", "hostkeyalias", "connecttimeout"])
def test_none_is_no_value(keyword: str) -> None:
    endpoint = endpoint_from(Jump("a", "u"), {keyword: ["none"]})
    assert (endpoint.jumps, endpoint.proxy_command, endpoint.host_key_alias, endpoint.connect_timeout) == (
        (),
        None,
        None,
        None,
    )


def test_known_hosts_none_is_no_file() -> None:
    settings = {"userknownhostsfile": ["none"], "globalknownhostsfile": ["none"]}
    assert endpoint_from(Jump("a", "u"), settings).known_hosts == ()


def test_the_usual_files_without_any_configuration() -> None:
    endpoint = endpoint_from(Jump("a", "u"), {})
    assert endpoint.port == 22
    assert str(Path.home() / ".ssh/id_ed25519") in endpoint.keys
    assert endpoint.known_hosts[0] == str(Path.home() / ".ssh/known_hosts")


def test_a_spec_over_a_configuration_file(tmp_path: Path) -> None:
    """With whatever reads configurations here: ssh itself, or paramiko."""
    config = tmp_path / "config"
    config.write_text(
        "Host box\n HostName 192.0.2.7\n User ops\n Port 2022\n ProxyJump bastion\n"
        f" IdentityFile {tmp_path}/id\n UserKnownHostsFile {tmp_path}/known\n"
    )
    options = ConnectOptions(ssh_config=str(config))
    plain = resolve("box", Host(), options)
    assert (plain.hostname, plain.user, plain.port) == ("192.0.2.7", "ops", 2022)
    assert plain.jumps == (Jump("bastion"),)
    assert plain.keys == (f"{tmp_path}/id",)
    host = Host(user="root", port=22, key="/k", known_hosts="/kh", jump=("a@b:1,c",), address="box")
    spec = resolve("other", host, options)
    assert (spec.hostname, spec.user, spec.port, spec.own_key) == ("192.0.2.7", "root", 22, "/k")
    assert spec.known_hosts == ("/kh",)
    assert spec.jumps == (Jump("b", "a", 1), Jump("c"))


def test_a_configuration_that_ssh_refuses(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host box\n NoSuchKeyword yes\n")
    with pytest.raises(HostError) as caught:
        resolve("box", Host(), ConnectOptions(ssh_config=str(config)))
    assert caught.value.diagnostic.code == "ssh-config"
    assert any("nosuchkeyword" in line.lower() for line in caught.value.diagnostic.evidence)


@pytest.mark.parametrize(
    ("text", "jump"),
    [
        ("bastion", Jump("bastion")),
        ("ops@bastion", Jump("bastion", "ops")),
        ("bastion:2222", Jump("bastion", None, 2222)),
        ("ops@10.0.0.1:22", Jump("10.0.0.1", "ops", 22)),
        ("ssh://ops@bastion:22/", Jump("bastion", "ops", 22)),
        ("[fd00::1]:2222", Jump("fd00::1", None, 2222)),
        ("fd00::1", Jump("fd00::1")),
        (" bastion ", Jump("bastion")),
    ],
)
def test_jumps(text: str, jump: Jump) -> None:
    assert parse_jump("box", text) == jump


@pytest.mark.parametrize("text", ["", "-oProxyCommand=x", "a b", "ops@", "-J", "a;b", "bastion:port", "x@-y", "-u@b"])
def test_jumps_that_are_none(text: str) -> None:
    with pytest.raises(HostError) as caught:
        parse_jump("box", text)
    assert caught.value.diagnostic.code == "bad-address"


@given(st.text(max_size=30))
def test_nothing_that_a_shell_or_ssh_would_read_otherwise_is_an_address(text: str) -> None:
    try:
        check_address("box", Jump(text))
    except HostError:
        return
    assert text
    assert not text.startswith("-")
    assert not set(text) & set(" \t\n'\"`$\\;&|<>(){}*?!#~/=@,")


@given(st.text(max_size=200))
def test_any_text_is_settings(text: str) -> None:
    for keyword, values in parse_settings(text).items():
        assert keyword == keyword.lower()
        assert values


DEBIAN = """\
# This is the ssh client system-wide configuration file.
Include /no/such/folder/*.conf

Host *
#   ForwardAgent no
    SendEnv LANG LC_*
    HashKnownHosts yes
    GSSAPIAuthentication yes
"""


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("", False),
        (DEBIAN, False),
        ("Host a\n HostName b\n", True),
        ("Host a\n\tUser=b\n", True),
        ("Match all\n Port 2\n", True),
        ("Include {folder}/config\n", True),
        ("Include config\n", True),
        ("Include = {folder}/config\n", True),
        ("Include {folder}/none-*\n", False),
        ("Include 'unbalanced\n", True),
        ("ControlMaster auto\nControlPath ~/.ssh/%C\n", False),
        ("StrictHostKeyChecking no\n", True),
        ("NewKeyword of-tomorrow\n", True),
    ],
)
def test_a_configuration_that_says_nothing_is_not_asked(tmp_path: Path, text: str, effect: bool) -> None:
    file = tmp_path / "config"
    file.write_text(text.replace("{folder}", str(tmp_path)))
    lines = effective_lines([file])
    assert lines is not None
    assert bool([line for line in lines if line[0] != "host"]) is effect


def said_by_ssh(file: str, alias: str) -> str:
    ssh = shutil.which("ssh")
    if ssh is None:
        pytest.skip("no OpenSSH client here")
    return subprocess.run([ssh, "-T", "-F", file, "-G", alias], capture_output=True, text=True, check=True).stdout


def test_what_is_not_asked_is_what_ssh_would_say() -> None:
    """The defaults used without asking are OpenSSH's own."""
    printed = said_by_ssh("none", "box")
    asked, usual = endpoint_from(Jump("box", "u"), parse_settings(printed)), endpoint_from(Jump("box", "u"), {})
    assert set(usual.keys) <= set(asked.keys)
    assert dataclasses.replace(asked, keys=()) == dataclasses.replace(usual, keys=())


SIMPLE = """\
# for all
User = everyone
IdentityFile ~/.ssh/first

Host gpu-? !gpu-b
    HostName 10.0.0.11
    Port=2222
    IdentityFile /keys/a
    IdentitiesOnly yes
    StrictHostKeyChecking accept-new
	UserKnownHostsFile /k/one   /k/two
    ForwardAgent yes

Host gpu-b other.example
    hostname GPU-B.example
    ProxyJump ops@bastion:2200,second
    HostKeyAlias the-box
    ConnectTimeout 7
    IdentityAgent none
    GlobalKnownHostsFile /etc/known

Host *
    User somebody-else
    IdentityFile /keys/last
    ConnectTimeout 9
"""


@pytest.mark.parametrize("alias", ["gpu-a", "gpu-b", "gpu-bb", "other.example", "GPU-A", "elsewhere", "10.0.0.9"])
def test_simple_configurations_are_read_as_ssh_reads_them(tmp_path: Path, alias: str) -> None:
    file = tmp_path / "config"
    file.write_text(SIMPLE)
    lines = effective_lines([file])
    assert lines is not None
    assert all(map(is_plain, lines))
    read = endpoint_from(Jump(alias), ask_openssh("box", Jump(alias), ConnectOptions(ssh_config=str(file))))
    asked = endpoint_from(Jump(alias), parse_settings(said_by_ssh(str(file), alias)))
    assert dataclasses.replace(read, strict="") == dataclasses.replace(asked, strict="")


@pytest.mark.parametrize(
    "line",
    [
        "Match all",
        "Include other",
        "Host [ab]",
        "HostName %h.example",
        'HostName "a b"',
        "HostName a # b",
        "HostName",
        "IdentityFile ${HOME}/key",
        "IdentityFile /keys/a=b",
        "IdentitiesOnly true",
        "ConnectTimeout 1m",
        "Port 0x16",
        "ProxyCommand nc %h %p",
        "CertificateFile /keys/a-cert.pub",
        "CanonicalizeHostname yes",
        "KeywordOfTomorrow yes",
    ],
)
def test_all_else_is_ssh_s_to_read(line: str) -> None:
    assert not all(map(is_plain, parse_lines(line)))


def test_files_follow_one_another(tmp_path: Path) -> None:
    """The user's own before the system's; a `Host` of the first says nothing of the second."""
    (tmp_path / "own").write_text("Host a\nPort 1\n")
    (tmp_path / "system").write_text("Port 2\nUser u\n")
    lines = effective_lines([tmp_path / "own", tmp_path / "system"])
    assert lines is not None
    assert plain_settings("a", lines) == {"hostname": ["a"], "port": ["1"], "user": ["u"]}
    assert plain_settings("b", lines) == {"hostname": ["b"], "port": ["2"], "user": ["u"]}


def test_a_file_that_cannot_be_read_is_ssh_s_to_complain_of(tmp_path: Path) -> None:
    assert effective_lines([tmp_path / "none"]) is None
    (tmp_path / "large").write_bytes(b"#" * (1 << 20) + b"\n")
    assert effective_lines([tmp_path / "large"]) is None
