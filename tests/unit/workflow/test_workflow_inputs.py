"""Where a spec's variables come from, and which commit a spec was taken from."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.errors import SpecError
from deployer.workflow import Inputs, load, plan_assumed
from deployer.workflow.commit import commit_of
from deployer.workflow.inputs import environment_variables

SPEC = """\
version: 1
project: demo
id: unit
vars: {tag: b1, my-name: a}
hosts: {here: {connection: local}}
models: {tiny: {source: "file:///srv/models/tiny.gguf"}}
services:
  chat: {model: tiny, image: "reg.local/llama:${var.tag}", served_name: "${var.my-name}"}
"""


def spec_in(folder: Path) -> str:
    path = folder / "deploy.yaml"
    path.write_text(SPEC)
    return str(path)


def test_the_command_line_beats_the_environment_and_that_the_spec(tmp_path: Path) -> None:
    path = spec_in(tmp_path)
    environment = {"DEPLOYER_VAR_TAG": "b2", "DEPLOYER_VAR_MY_NAME": "z"}

    def loaded(inputs: Inputs) -> tuple[str | None, tuple[str, ...]]:
        service = load(inputs).spec.services["chat"]
        return str(service.image), service.served_name

    assert loaded(Inputs((path,))) == ("reg.local/llama:b1", ("a",))
    assert loaded(Inputs((path,), environment=environment)) == ("reg.local/llama:b2", ("z",))
    both = Inputs((path,), variables={"tag": "b3"}, environment=environment)
    assert loaded(both) == ("reg.local/llama:b3", ("z",))


def test_only_variables_with_the_prefix_count() -> None:
    assert environment_variables({"TAG": "1", "XDEPLOYER_VAR_TAG": "2"}) == {}


def test_a_spec_is_rendered_without_any_host(tmp_path: Path) -> None:
    plan = plan_assumed(Inputs((spec_in(tmp_path),)))
    assert not plan.has_errors
    assert [str(p.key) for p in plan.placements] == ["chat-0"]


@pytest.mark.parametrize(("backend", "gpus"), [("llama.cpp", 0), ("llama-server", 0), ("mine", 0), ("ollama", 1)])
def test_a_backend_is_given_gpus_by_what_it_is_and_not_by_its_name(tmp_path: Path, backend: str, gpus: int) -> None:
    path = tmp_path / "deploy.yaml"
    own = "backends: {mine: {extends: llama-server}}\n"
    path.write_text(own + SPEC.replace("chat: {", f"chat: {{backend: {backend}, "))
    (placement,) = plan_assumed(Inputs((str(path),))).placements
    assert len(placement.members[0].gpus) == gpus


WANTED = """\
  big: {model: folder, backend: vllm, placement: {gpus: 2, gpu: {model: H100, memory: ">=40GiB", cc: ">=8.9"}}}
  small: {model: folder, backend: vllm, placement: {gpus: 1, gpu: {model: L4}}}
"""


def test_hosts_that_nobody_asked_have_the_gpus_that_are_wanted(tmp_path: Path) -> None:
    path = tmp_path / "deploy.yaml"
    models = 'models: {folder: {source: "file:///srv/models/folder"}, '
    path.write_text(SPEC.replace("models: {", models) + WANTED)
    plan = plan_assumed(Inputs((str(path),)))
    assert not plan.has_errors, plan.problems
    assert {str(p.key): len(p.members[0].gpus) for p in plan.placements} == {"chat-0": 1, "big-0": 2, "small-0": 1}


def test_a_missing_file_is_a_diagnostic(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load(Inputs((str(tmp_path / "none.yaml"),)))
    assert caught.value.diagnostics[0].code == "missing-file"


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def repository(folder: Path, head: str) -> Path:
    git = folder / ".git"
    git.mkdir(parents=True)
    (git / "HEAD").write_text(head)
    return git


def test_commit_of_a_branch(tmp_path: Path) -> None:
    git = repository(tmp_path, "ref: refs/heads/main\n")
    (git / "refs/heads").mkdir(parents=True)
    (git / "refs/heads/main").write_text(COMMIT + "\n")
    assert commit_of(str(tmp_path / "specs" / "deploy.yaml")) == COMMIT


def test_commit_of_a_detached_head(tmp_path: Path) -> None:
    repository(tmp_path, COMMIT)
    assert commit_of(str(tmp_path / "deploy.yaml")) == COMMIT


def test_commit_of_a_packed_branch(tmp_path: Path) -> None:
    git = repository(tmp_path, "ref: refs/heads/main")
    (git / "packed-refs").write_text(f"# pack-refs with: peeled\n{'f' * 40} refs/heads/x\n{COMMIT} refs/heads/main\n")
    assert commit_of(str(tmp_path / "deploy.yaml")) == COMMIT


def test_commit_of_a_work_tree(tmp_path: Path) -> None:
    git = repository(tmp_path / "main", "ref: refs/heads/main")
    (git / "packed-refs").write_text(f"{COMMIT} refs/heads/side\n")
    tree = git / "worktrees" / "side"
    tree.mkdir(parents=True)
    (tree / "HEAD").write_text("ref: refs/heads/side")
    (tree / "commondir").write_text("../..")
    (tmp_path / "side").mkdir()
    (tmp_path / "side" / ".git").write_text(f"gitdir: {tree}\n")
    assert commit_of(str(tmp_path / "side" / "deploy.yaml")) == COMMIT


@pytest.mark.parametrize("head", ["", "ref: refs/heads/none", "garbage", "ref: \x00"])
def test_what_is_no_repository_has_no_commit(tmp_path: Path, head: str) -> None:
    repository(tmp_path, head)
    assert commit_of(str(tmp_path / "deploy.yaml")) is None
