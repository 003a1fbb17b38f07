"""INI inventories: sections, quoting, what stands where."""

import pytest

from tests.unit.spec.ansible.inventories import host_of, only_problem_of, problems_of, spec_of, using


def test_sections_ranges_and_children():
    spec = spec_of(
        "; first\nbare\n\n[gpu]\ngpu[01:02] # two\n[db]  # databases\ndb-[a:b]\nbare2:2222\n"
        "[prod:children]\ngpu\ndb # too\n[prod:vars]\nansible_user = ops\n"
    )
    assert spec.groups["gpu"].hosts == ("gpu01", "gpu02")
    assert set(spec.groups["prod"].hosts) == {"gpu01", "gpu02", "db-a", "db-b", "bare2"}
    assert spec.groups["ungrouped"].hosts == ("bare",)
    assert set(spec.groups["all"].hosts) == set(spec.hosts)
    assert [spec.hosts[name].user for name in ("gpu01", "bare")] == ["ops", None]
    assert spec.hosts["bare2"].port == 2222


def test_children_may_be_declared_later_and_groups_be_opened_twice():
    spec = spec_of("[top:children]\nmid\n[mid:children]\nlow\n[low]\na\n[top]\nb\n[low]\nc\n")
    assert spec.groups["top"].hosts == ("b", "a", "c")


VALUES = [
    ("x=1", "1"),
    ("x=ib0", "ib0"),
    ('x="a b"', "a b"),
    ("x='a \"b\" c'", 'a "b" c'),
    ("x=a=b", "a=b"),
    ("x=\"'quoted'\"", "quoted"),
    (r"x=a\ b", "a b"),
    ("x=a#b", "a"),
    ("x=True", "True"),
    ("x=007", "007"),
    ("x=1.10", "1.10"),
    ("x=''", ""),
    ("x=$HOME", "$HOME"),
    ("x='${var.y} ${host.name}'", "${var.y} ${host.name}"),
]


@pytest.mark.parametrize(("written", "value"), VALUES)
def test_values_beside_a_host(written, value):
    assert host_of(f"h {written}\n", spec=using("x"))["vars"] == {"x": value}


@pytest.mark.parametrize(
    ("written", "value"), [("a b # c", "a b # c"), ("'a'", "a"), ('"a" b', '"a" b'), ("a=b", "a=b"), ("0x1f", "0x1f")]
)
def test_values_of_a_group_are_the_rest_of_the_line(written, value):
    assert host_of(f"[g]\nh\n[g:vars]\nx = {written}\n", spec=using("x"))["vars"] == {"x": value}


def test_a_later_line_of_a_host_wins_but_its_first_port():
    found = host_of("h:1 ansible_user=a\n[g]\nh:2 ansible_user=b\n")
    assert (found["user"], found["port"]) == ("b", 1)


WRONG = [
    ("[a b]\nh\n", "bad-inventory-line", 1),
    ("[g:hosts2]\nh\n", "bad-inventory-line", 1),
    ("[g:vars]\nx=1\n", "unknown-group", 1),
    ("[g:children]\nx\n", "unknown-group", 2),
    ("[g]\nh x\n", "bad-inventory-line", 2),
    ("[g]\nh x='a\n", "bad-inventory-line", 2),
    ("[g]\nh[1:]\n", "bad-inventory-line", 2),
    ("[g]\nh\n[g:vars]\nx\n", "bad-inventory-line", 4),
    ("[g]\nh\n[g:children]\na b\n", "bad-inventory-line", 4),
    ("[g:children]\ng\n[g]\nh\n", "circular-group", 2),
    ("[a]\n[b]\n[a:children]\nb\n[b:children]\na\n", "circular-group", 6),
    ("[all]\nh\n[g]\n[g:children]\nall\n", "circular-group", 5),
    ("h ansible_port=0\n", "bad-value", 1),
    ("h ansible_port=ssh\n", "bad-value", 1),
    ("h:70000\n", "bad-value", 1),
    ("h\n[all:vars]\nansible_group_priority=x\n", "bad-value", 3),
    ("é^ ansible_user=a\n", "bad-name", 1),
]


@pytest.mark.parametrize(("text", "code", "line"), WRONG)
def test_what_is_wrong_is_said_at_its_line(text, code, line):
    problem = only_problem_of(text)
    assert (problem.code, problem.where.file, problem.where.line) == (code, "inv", line)
    assert problem.hint
    assert problem.where.text == text.splitlines()[line - 1]


def test_all_lines_that_are_wrong():
    found = problems_of("[g]\nh x\ni[\n[h:vars]\n")
    assert [(problem.code, problem.where.line) for problem in found] == [
        ("bad-inventory-line", 2), ("bad-inventory-line", 3), ("unknown-group", 4),
    ]  # fmt: skip


def test_columns_are_those_of_the_variables():
    problem = only_problem_of("[g]\nhost1 nic=ib0   ansible_port=x\n")
    assert (problem.where.line, problem.where.column) == (2, 17)


def test_an_unquoted_template_is_one_problem_of_its_line():
    problem = only_problem_of("h nic={{ x }} ansible_port=2\n")
    assert (problem.code, problem.where.key) == ("bad-inventory-line", "")
