"""Files that a spec names: contents, limits, and what a confined command refuses to read."""

import pytest

from tests.unit.spec.texts import BASE, SERVICE, load_files, load_text, only_problem

NAMED = SERVICE + (
    "    backend: mine\n"
    "    options: {chat_template: ./templates/chat.jinja}\n"
    "    container: {files: {/opt/start.sh: start.sh, /opt/inline: {content: 'x'}}}\n"
    "backends: {mine: {extends: vllm, template: mine.yaml.j2}}\n"
)
FILES = {"templates/chat.jinja": "{{ x }}", "start.sh": b"\xff\x00", "mine.yaml.j2": "image: x"}


def test_contents_by_the_path_as_written():
    assert load_text(NAMED, files=FILES).files == {
        "./templates/chat.jinja": b"{{ x }}",
        "start.sh": b"\xff\x00",
        "mine.yaml.j2": b"image: x",
    }


@pytest.mark.parametrize(("missing", "line"), [("templates/chat.jinja", 12), ("start.sh", 13), ("mine.yaml.j2", 14)])
def test_missing_files(missing, line):
    problem = only_problem(NAMED, files={k: v for k, v in FILES.items() if k != missing})
    assert (problem.code, problem.where.line) == ("missing-file", line)
    assert missing in problem.message


def test_a_built_in_chat_template_is_no_file():
    assert load_text(SERVICE + "    options: {chat_template: chatml}\n").files == {}


def test_large_files():
    files = {**FILES, "start.sh": b"x" * (1024 * 1024 + 1)}
    problem = only_problem(NAMED, files=files)
    assert (problem.code, problem.where.line) == ("file-too-large", 13)
    assert load_text(NAMED, files={**FILES, "start.sh": b"x" * 1024 * 1024}).files["start.sh"]


def test_paths_take_variables_but_nothing_of_a_replica():
    text = "vars: {f: start.sh}\n" + NAMED.replace("files: {/opt/start.sh: start.sh", "files: {/a: '${var.f}'")
    assert "start.sh" in load_text(text, files=FILES).files
    problem = only_problem(NAMED.replace("start.sh: start.sh", "start.sh: '${host.name}.sh'"), files=FILES)
    assert problem.code == "substitution-not-here"


def test_one_path_for_two_files_is_ambiguous():
    files = {
        "a/deploy.yaml": SERVICE + "    container: {files: {/a: x.sh}}\n",
        "b/more.yaml": "services: {chat: {container: {files: {/b: x.sh}}}}\n",
        "a/x.sh": "a",
        "b/x.sh": "b",
    }
    with pytest.raises(Exception, match="ambiguous-path"):
        load_files(files, "a/deploy.yaml", "b/more.yaml")


OUTSIDE = ["../secret", "/etc/passwd", "~/.ssh/id_rsa", "a/../../x", "./../x"]


@pytest.mark.parametrize("path", OUTSIDE)
def test_confined_commands_read_nothing_outside(path):
    def reading(text):
        def refuse(asked: str) -> bytes:
            assert asked == "deploy.yaml", f"{asked} was read"
            return text.encode()

        return refuse

    from deployer.errors import SpecError
    from deployer.spec.load import LoadOptions, load

    texts = (
        BASE + f"services: {{}}\ninventory: {path}\n",
        SERVICE + f"    container: {{files: {{/x: {path}}}}}\n",
        SERVICE + f"    options: {{chat_template: {path}}}\n",
        BASE + f"services: {{}}\nbackends: {{vllm: {{template: {path}}}}}\n",
    )
    for text in texts:
        with pytest.raises(SpecError) as caught:
            load(["deploy.yaml"], reading(text), LoadOptions(confined=True, user_home="/root"))
        assert [d.code for d in caught.value.diagnostics] == ["outside-folder"]


def test_confined_commands_read_below_the_folders_of_the_files_given():
    files = {"/srv/p/deploy.yaml": SERVICE + "    container: {files: {/x: t/x.sh}}\n", "/srv/p/t/x.sh": "x"}
    assert load_files(files, "/srv/p/deploy.yaml", confined=True).files
    files["specs/deploy.yaml"] = SERVICE + "    container: {files: {/x: ../t/x.sh}}\n"
    files["t/x.sh"] = "y"
    assert load_files(files, "specs/deploy.yaml", confined=True).files == {"../t/x.sh": b"y"}
