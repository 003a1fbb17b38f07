"""Options of ssh's command line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.spec.ansible.ssh_options import parse_ssh_options

JUMPS = [
    ("-J a", "a"),
    ("-Ja,b", "a,b"),
    ("-qJ a", "a"),
    ("-o ProxyJump=u@a:22", "u@a:22"),
    ("-oProxyJump=a", "a"),
    ('-o "ProxyJump a"', "a"),
    ("-J [2001:db8::1]:22", "[2001:db8::1]:22"),
    ("-J a -J b", "a"),
    ('-o ProxyCommand="ssh -W %h:%p a"', "a"),
    ('-o ProxyCommand="ssh -W %h:%p -q u@a"', "u@a"),
    ('-o ProxyCommand="ssh -q u@a -W %h:%p"', "u@a"),
    ('-o ProxyCommand="/usr/bin/ssh -p 22 -l u -W [%h]:%p a"', "u@a:22"),
    ('-o ProxyCommand="exec ssh -o User=u -o Port=5 -W %h:%p a"', "u@a:5"),
    ("-o 'ProxyCommand ssh a nc %h %p'", "a"),
    ("-o ProxyCommand='ssh a nc -w 3 %h %p'", "a"),
    ('-o ProxyCommand="ssh -J a -W %h:%p b"', "a,b"),
    ("-o 'ProxyCommand=ssh -o ProxyCommand=\"ssh -W %h:%p a\" -W %h:%p b'", "a,b"),
    ("-o ProxyCommand='ssh -p 7 -W %h:%p 2001:db8::1'", "[2001:db8::1]:7"),
    ("-o ProxyCommand=none", ""),
    ("-o ProxyJump=none -J a", ""),
]


@pytest.mark.parametrize(("text", "jump"), JUMPS)
def test_jump_hosts(text, jump):
    found = parse_ssh_options(text)
    assert (found.jump, found.refused, found.words) == (jump, [], [])


REFUSED = [
    "-o ProxyCommand='ssh -W other:22 a'",
    "-o ProxyCommand='ssh -W %h:%p a; id'",
    "-o ProxyCommand='ssh -W %h:%p $(id)'",
    "-o ProxyCommand='ssh -W %h:%p'",
    "-o ProxyCommand='ssh a id'",
    "-o ProxyCommand='ssh a -W %h:%p id'",
    "-o ProxyCommand='ssh -F cfg -W %h:%p a'",
    "-o ProxyCommand='cloudflared access ssh --hostname %h'",
    "-o ProxyCommand=",
    "-J -x",
    "-J a,,b",
    "-J 'a b'",
    "-J " + ",".join("abcdefghi"),
    "-N",
    "-D 1080",
    "-o",
    "-o =x",
    "-o Match=x",
    "-i a -i b",
    "-o UserKnownHostsFile='a b'",
    "-o GlobalKnownHostsFile=x",
    "-J 'a",
]


@pytest.mark.parametrize("text", REFUSED)
def test_what_ssh_would_do_and_we_do_not(text):
    assert parse_ssh_options(text).refused


@pytest.mark.parametrize("text", ["-A -C -T -q", "-ACq", "-o ForwardAgent=yes -oConnectTimeout=5 -S none", "-vvv", ""])
def test_what_changes_nothing(text):
    found = parse_ssh_options(text)
    assert (found.refused, found.words, found.unverified, found.jump) == ([], [], False, None)


WORDS = st.sampled_from([
    "-J", "-o", "-W", "%h:%p", "ssh", "ProxyCommand=", "ProxyCommand=ssh", "a", "u@b:1", "'", '"', "\\", "-", "--",
    "-i", "ProxyJump=", "nc", "StrictHostKeyChecking=no", ",", " ", "=",
])  # fmt: skip


@given(st.lists(WORDS, max_size=12), st.sampled_from(["", " "]))
def test_any_text_is_read_or_refused(words, between):
    found = parse_ssh_options(between.join(words))
    assert found.jump is None or not any(character in found.jump for character in " ;'\"$")
