"""`${...}`: what is replaced when, and that no value is ever read as more than text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.errors import Problems, SpecError
from deployer.spec.nodes import Node, Source
from deployer.spec.substitution import Substitution, substitute
from tests.unit.spec.texts import BASE, SERVICE, codes, load_text, only_problem, problems

VARS = "vars: {tag: v1, port: 8000, yes: true, hostile: '$${host.name}', dollar: $}\n"


def test_variables_in_every_kind_of_text():
    text = VARS + BASE.replace("file:///srv/models/tiny.gguf", "'file:///srv/models/${var.tag}/tiny.gguf'")
    text += "services: {chat: {model: tiny, args: ['${var.tag}-x']}}\n"
    project = load_text(text)
    assert project.spec.models["tiny"].source == ("file:///srv/models/v1/tiny.gguf",)
    assert project.spec.services["chat"].args == ("v1-x",)


def test_the_caller_overrides_variables_and_may_add_some():
    text = VARS + SERVICE + "    args: ['${var.tag}', '${var.new}']\n"
    assert load_text(text, variables={"tag": "v2", "new": "n"}).spec.services["chat"].args == ("v2", "n")


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("replicas: ${var.port}", lambda s: s.replicas == 8000),
        ("port: ${var.port}", lambda s: s.port.number == 8000),
        ("port: {number: '${var.port}'}", lambda s: s.port.number == 8000),
        ("protect: ${var.yes}", lambda s: s.protect is True),
        ("placement: {gpus: '${var.port}'}", lambda s: s.placement.gpus == 8000),
        ("version: ${var.port}", lambda s: s.version == "8000"),
        ("env: {A: '${var.yes}'}", lambda s: s.env["A"] == "true"),
    ],
)
def test_a_whole_variable_is_read_as_what_the_key_takes(line, read):
    assert read(load_text(VARS + SERVICE + f"    {line}\n").spec.services["chat"])


def test_a_whole_variable_of_the_wrong_kind():
    problem = only_problem(VARS + SERVICE + "    replicas: ${var.tag}\n")
    assert (problem.code, problem.where.line) == ("wrong-type", 12)


def test_a_part_of_a_text_is_never_reread():
    assert codes(VARS + SERVICE + "    replicas: ${var.port}0\n") == ["wrong-type"]


def test_what_is_known_per_replica_waits():
    text = SERVICE + "    args: ['${host.name}:${port}', '${host.vars.nic}', '$${HOME}']\n"
    args = load_text(text).spec.services["chat"].args
    assert args == ("${host.name}:${port}", "${host.vars.nic}", "$${HOME}")
    lookup = {"host.name": "here", "port": "80", "host.vars.nic": "eth0"}
    assert [substitute(arg, lookup) for arg in args] == ["here:80", "eth0", "${HOME}"]


def test_values_are_not_substituted_again():
    text = VARS + SERVICE + "    args: ['${var.hostile}', 'a${var.dollar}{host.name}', '${var.dollar}${host.name}']\n"
    args = load_text(text).spec.services["chat"].args
    assert [substitute(arg, {"host.name": "${port}"}) for arg in args] == ["${host.name}", "a${host.name}", "$${port}"]


def test_a_literal_outside_of_rendered_texts_is_unescaped_at_once():
    text = BASE.replace("nic: eth0", "nic: '$${x}'") + "services: {}\n"
    assert load_text(text).spec.hosts["here"].vars == {"nic": "${x}"}


REFUSED = [
    ("args: ['${var.tga}']", "unknown-variable", "${var.tag}"),
    ("args: ['${var.zzz}']", "unknown-variable", "--var zzz="),
    ("args: ['${host.nam}']", "unknown-substitution", "${host.name}"),
    ("args: ['${host.vars.nik}']", "unknown-host-variable", "host.vars.nic"),
    ("args: ['${HOME}']", "unknown-substitution", "$${HOME}"),
    ("args: ['${secret.key}']", "unknown-substitution", "{secret: key}"),
    ("args: ['${env.HOME}']", "unknown-substitution", "DEPLOYER_VAR_HOME"),
    ("args: ['${1 + 1}']", "unknown-substitution", "$${1 + 1}"),
    ("args: ['${']", "bad-substitution", "close it"),
    ("args: ['${var.tag']", "bad-substitution", "close it"),
    ("args: ['${a{b}']", "bad-substitution", "close it"),
    ("image: '${host.name}'", "substitution-not-here", "args"),
    ("placement: {hosts: ['${host.name}']}", "substitution-not-here", "args"),
    ("env: {'A${var.tag}': x}", "substitution-in-key", "values only"),
]


@pytest.mark.parametrize(("line", "code", "hint"), REFUSED)
def test_refused_by_name(line, code, hint):
    problem = problems(VARS + SERVICE + f"    {line}\n")[0]
    assert (problem.code, problem.where.line) == (code, 12)
    assert hint in problem.hint


def test_per_replica_names_outside_of_services():
    text = BASE.replace("file:///srv/models/tiny.gguf", "'file:///${host.vars.nic}.gguf'") + "services: {}\n"
    assert only_problem(text).code == "substitution-not-here"
    assert only_problem("vars: {a: '${var.b}'}\n" + BASE + "services: {}\n").code == "substitution-in-variable"


def test_inventories_are_substituted_too():
    inventory = "hosts: {there: {address: '${var.tag}.example.org'}}\n"
    text = VARS + BASE + "inventory: 'inv-${var.tag}.yaml'\nservices: {}\n"
    project = load_text(text, files={"inv-v1.yaml": inventory})
    assert project.spec.hosts["there"].address == "v1.example.org"


def test_variables_that_are_no_text():
    problem = only_problem(SERVICE, variables={"a": "\udcff"})
    assert (problem.code, problem.where) == ("not-utf8", None)


def test_rendering_names_what_it_does_not_know():
    with pytest.raises(SpecError) as caught:
        substitute("${modle.path}", {"model.path": "/m"})
    assert caught.value.diagnostics[0].hint == "did you mean `model.path`?"
    with pytest.raises(SpecError):
        substitute("${open", {})


def loaded(text: str, variables: dict[str, str]) -> str:
    """What load makes of an argument of a service."""
    problems = Problems()
    node = Node(text, Source("f", text), 1, 1)
    result = Substitution(variables, problems).apply(node, ("services", "s", "args", 0)).value
    assert not problems.found
    assert isinstance(result, str)
    return result


PIECES = st.sampled_from(["$", "$$", "{", "}", "a", "host.name", "{host.name}", "${", "$${", "\n", "é"])


@given(st.lists(PIECES).map("".join), st.lists(PIECES).map("".join), st.lists(PIECES).map("".join))
def test_any_value_arrives_as_it_is(first, second, host):
    """Whatever variables and hosts hold, and wherever it lands, it comes out character by character."""
    variables = {"a": first, "b": second}
    for template, wanted in (
        ("${var.a}${var.b}", first + second),
        ("${var.a}${host.name}${var.b}", first + host + second),
        ("${host.name}${var.a}{host.name}", host + first + "{host.name}"),
        ("x${var.a}$${${var.b}", "x" + first + "${" + second),
    ):
        assert substitute(loaded(template, variables), {"host.name": host}) == wanted
