"""Whatever an inventory holds, the answer is a project or a SpecError, and never takes long."""

import time

from hypothesis import example, given, settings
from hypothesis import strategies as st

from deployer.errors import Severity, SpecError
from tests.unit.spec.ansible.inventories import using
from tests.unit.spec.texts import load_text

PATIENT = settings(deadline=None, max_examples=60)
INI = """\
edge ansible_host=10.0.0.9
[gpu]
gpu[01:03] ansible_user=ops nic="ib 0"
[prod:children]
gpu
[prod:vars]
ansible_ssh_common_args='-o ProxyCommand="ssh -W %h:%p u@10.0.0.9"'
x=[1, 2]
"""
YAML = """\
all:
  vars: {ansible_user: ops, x: "{{ y }}"}
  children:
    gpu:
      hosts:
        gpu[1:2]: {ansible_port: 2222, nic: ib0}
        gpu3:
    prod: {children: {gpu: , db: {hosts: {d: {}}}}}
"""
SNIPPETS = st.sampled_from([
    "", "[", "]", "[g]", "[g:vars]", "[g:children]", "=", ":", "'", '"', "\\", "#", "\n", "\t", " ", "{{", "!vault ",
    "all", "[1:99999]", "[a:z][a:z][a:z]", "[0:9:0]", "::", "-", "---\n", "{", "}", "*a", "&a ", "<<: ", "ungrouped",
    "children:", "hosts:", "vars:", "ansible_port=", "ansible_connection=local", "ansible_group_priority=9", "gpu",
    "$ANSIBLE_VAULT;1.1", "\x00", "ansible_ssh_common_args=-J", "é", "'''", "(((((", "9" * 30, "\u2028", "plugin: x\n",
    "#!", "_meta:", "\r",
])  # fmt: skip


def survives(text: str | bytes, **files) -> None:
    try:
        load_text(using("x", "nic"), files={"inv": text, **files}, inventories=("inv",))
    except SpecError as error:
        found = error.diagnostics
    else:
        return
    assert any(problem.severity is Severity.ERROR for problem in found)
    assert all(problem.where is None or problem.where.line >= 1 for problem in found)


@PATIENT
@given(st.binary(max_size=300))
@example(b"#!")
@example(b"$ANSIBLE_VAULT;1.1")
@example(b"[\xff]")
@example(b"a\r[b]\rc=1")
def test_arbitrary_bytes(data):
    survives(data)
    survives("[g]\nh\n", **{"group_vars/g.yml": data, "host_vars/h": data})


@PATIENT
@given(st.text(alphabet="ab:{}[]=,&*!|'\"%#;- \n\t1.09\\<é", max_size=200))
def test_arbitrary_lines(text):
    survives(text)
    survives("[g]\n" + text)
    survives("all:\n  hosts:\n    " + text)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from([INI, YAML]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 20), SNIPPETS), min_size=1, max_size=6),
)
def test_mutations(text, edits):
    for at, length, snippet in edits:
        start = int(at * len(text))
        text = text[:start] + snippet + text[start + length :]
    survives(text)


def hostile(size: int) -> dict[str, str]:
    """Inventories of about that many characters that are meant to take long."""
    chain = "".join(f"[g{i}:children]\ng{i + 1}\n" for i in range(size // 22))
    funnel = [f"p{i}" for i in range(size // 30)]
    return {
        "ranges": "[g]\n" + "a[1:9999]\n" * (size // 10),
        "ranges in ranges": "a[1:99][1:99][1:99]\n" * (size // 20),
        "sections": "".join(f"[s{i}]\n" for i in range(size // 8)),
        "a chain": chain,
        "a circle": chain + f"[g{size // 22}:children]\ng0\n",
        "a funnel": "".join(f"[{p}:children]\nx\n" for p in funnel) + "[x]\nh[1:9999]\n",
        "an hourglass": "".join(f"[{p}:children]\nx\n" for p in funnel[::2])
        + "[x:children]\n" + "\n".join(f"q{p}" for p in funnel[::2]) + "\n"
        + "".join(f"[q{p}]\nh{p}\n" for p in funnel[::2]),
        "quotes": "h x='" + "a'\"b\"'" * (size // 6) + "'\n",
        "open quotes": "h x='\n" * (size // 7),
        "brackets": "[g]\nh x=" + "[" * size + "\n",
        "variables": "[g]\nh[1:5000]\n[g:vars]\n" + "".join(f"v{i}=1\n" for i in range(size // 8)),
        "jumps": "h[1:3000] ansible_ssh_common_args='-J " + "a," * (size // 2) + "'\n",
        "commands": "h ansible_ssh_common_args=\"" + "-o ProxyCommand='ssh " * (size // 22) + "\"\n",
        "a line": "h " + "a=b " * (size // 4) + "\n",
        "no line": "=" * size,
        "YAML groups": "all:\n  children:\n" + "".join(f"    g{i}: {{hosts: {{h{i}: }}}}\n" for i in range(size // 26)),
        "YAML children": "all: " + "{children: {a: " * (size // 15),
        "YAML aliases": "a: &a {hosts: {h: {x: 1}}}\n" + "".join(f"b{i}: *a\n" for i in range(size // 8)),
    }  # fmt: skip


def test_hostile_inventories_end(record_property):
    for name, text in hostile(8_000).items():
        started = time.perf_counter()
        survives(text)
        record_property(name, round(time.perf_counter() - started, 2))


def test_two_thousand_hosts(record_property):
    """What it took is recorded, not judged: machines differ."""
    text = "[gpu]\n" + "".join(f"gpu{i} ansible_host=10.1.{i // 250}.{i % 250} x={i} nic=ib0\n" for i in range(2_000))
    started = time.perf_counter()
    spec = load_text(using("x"), files={"inv": text, "group_vars/gpu.yml": "ansible_user: ops\n"}, inventories=("inv",))
    record_property("seconds", round(time.perf_counter() - started, 2))
    assert len(spec.spec.hosts) == len(spec.spec.groups["gpu"].hosts) == 2_000
