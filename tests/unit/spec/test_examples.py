"""The examples of the language: the shortest spec, and the one that uses every key."""

from pathlib import Path

from tests.unit.spec.texts import load_text, problems

HERE = Path(__file__).parent
EVERYTHING = (HERE / "everything.yaml").read_text().replace('requires: ">=0.4"', 'requires: ">=0.1"')
DISTRIBUTED = EVERYTHING.replace("distributed: false", "distributed: true")
FILES = {
    "inventories/lab.yaml": "hosts: {gpu-b: {labels: {rack: r1, tier: prod}}}\n",
    "templates/mine.yaml.j2": "image: x\n",
    "templates/chat.jinja": "x",
    "start.sh": "x",
}


def test_the_shortest_spec():
    project = load_text((HERE / "shortest.yaml").read_text())
    assert list(project.spec.services) == ["chat"]
    assert [warning.code for warning in project.warnings] == ["no-id"]


def test_the_spec_with_every_key_is_right_but_for_what_is_not_built_yet():
    assert not problems(EVERYTHING, files=FILES)
    found = problems(DISTRIBUTED, files=FILES)
    assert {problem.code for problem in found} == {"not-supported-yet"}
    assert all(problem.where and problem.hint for problem in found)


def test_the_text_of_every_place_is_its_line():
    lines = DISTRIBUTED.splitlines()
    for problem in problems(DISTRIBUTED, files=FILES):
        assert lines[problem.where.line - 1].startswith(problem.where.text[:200])
        key = problem.where.key.split(".")[-1]
        assert lines[problem.where.line - 1][problem.where.column - 1 :].startswith(key)
