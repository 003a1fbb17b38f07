"""The printed command says what is meant, quoted; and never a secret."""

from __future__ import annotations

import base64
import io
import json
import re
import shlex
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.docker.commandline import quoted, render_docker_run
from deployer.docker.payload import archive
from deployer.values.container import ContainerSpec, Healthcheck, Mount, SecretFile, ShippedFile
from deployer.values.secrets import Secret, SecretRef

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def unquoted(word: str) -> str:
    """What a shell makes of one quoted word."""
    if not word.startswith("$'"):
        (text,) = shlex.split(word)
        return text
    data = re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), word[2:-1].encode())
    return data.decode()


def argv_of(text: str) -> list[str]:
    """The words of the one command of a text without control characters."""
    return shlex.split(text.replace("\\\n", " "), comments=True)


@given(texts)
def test_a_quoted_word_is_the_text_and_shows_no_control_characters(text: str) -> None:
    word = quoted(text)
    assert unquoted(word) == text
    assert not CONTROL.search(word)


@given(st.lists(texts.filter(lambda t: not CONTROL.search(t)), max_size=6))
def test_arguments_come_back_from_a_shell(words: list[str]) -> None:
    argv = argv_of(render_docker_run(ContainerSpec("image:1", command=tuple(words)), "n"))
    assert argv[argv.index("image:1") + 1 :] == words


@given(texts, texts)
def test_comments_are_one_line_each(name: str, path: str) -> None:
    spec = ContainerSpec(
        "image:1",
        env={name or "A": SecretRef(name)},
        secret_files={f"/{path}": SecretFile(SecretRef(name))},
        extra={name: path},
    )
    notes, rest = render_docker_run(spec, "n").split("docker create", 1)
    assert all(line.startswith("# ") for line in notes.splitlines())
    assert not CONTROL.search(notes)
    assert rest


def test_labels_are_shown_when_asked_for() -> None:
    spec = ContainerSpec("image:1", labels={"team": "x"})
    assert "deployer" not in render_docker_run(spec, "n")
    assert "--label team=x" in render_docker_run(spec, "n")
    assert "--label deployer.project=lab" in render_docker_run(spec, "n", {"deployer.project": "lab"})


def test_a_secret_goes_by_its_variable_alone() -> None:
    argv = argv_of(render_docker_run(ContainerSpec("image:1", env={"TOKEN": SecretRef("hf"), "B": "2"}), "n"))
    assert [argv[i + 1] for i, word in enumerate(argv) if word == "--env"] == ["TOKEN", "B=2"]


@pytest.mark.parametrize("value", ["sk-1", 'a"b', "a\\b", "it's $HOME `id` %s\\n"])
def test_a_secret_inside_a_file_is_what_docker_would_be_sent(value: str) -> None:
    file = SecretFile(SecretRef("key"), content="api-key: {secret}  # 100%\n")
    spec = ContainerSpec("image:1", secret_files={"/etc/key.yaml": file})
    line = next(line for line in render_docker_run(spec, "n").split(" &&\n") if "printf 'api-key" in line)
    shown = line.removesuffix(' > "$dir"/etc/key.yaml')
    done = subprocess.run(["sh", "-c", shown], env={"SECRET_KEY": value}, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(archive(spec, {"key": Secret(value)}))) as tar:
        member = tar.extractfile("etc/key.yaml")
        assert member is not None
        assert member.read() == done.stdout
    assert json.loads(done.stdout.decode().removeprefix("api-key: ").split("  #")[0]) == value


def test_gpus_keep_the_quotes_that_docker_wants() -> None:
    def gpus(*uuids: str) -> str:
        argv = argv_of(render_docker_run(ContainerSpec("image:1", gpus=uuids), "n"))
        return argv[argv.index("--gpus") + 1]

    assert gpus("GPU-a") == "device=GPU-a"
    assert gpus("GPU-a", "GPU-b") == '"device=GPU-a,GPU-b"'
    assert gpus("all") == "all"


def test_directories_of_ours_are_made_first() -> None:
    text = render_docker_run(
        ContainerSpec("image:1", mounts=(Mount("/our s", "/c", create=True), Mount("/x", "/y"))), "n"
    )
    assert text.startswith("mkdir -p '/our s' &&\ndocker run -d")


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"#!/bin/sh\necho \"$HOME\" 'hi'\n", True),
        ("a: 'ü'\n\tb\n".encode(), True),
        (b"no end", False),
        (b"", False),
        (b"END_OF_FILE\n", False),
        (b"a\r\n", False),
        (b"\x1b[31mred\n", False),
        (b"\xff\n", False),
        ("\u202egnp\n".encode(), False),
    ],
)
def test_text_of_a_file_is_shown_and_arrives_as_it_is(content: bytes, shown: bool, tmp_path: Path) -> None:
    spec = ContainerSpec("image:1", files={"/x": ShippedFile(base64.b64encode(content).decode())})
    text = render_docker_run(spec, "n")
    assert ("base64 -d" not in text) == shown
    begin = text.index("cat > " if shown else "base64 -d > ")
    script = text[begin : text.index("\ntar -C")].replace(" &&\n", "\n", 1)
    subprocess.run(["sh", "-c", script], env={"dir": str(tmp_path), "PATH": "/usr/bin:/bin"}, check=True)
    assert (tmp_path / "x").read_bytes() == content


def test_files_make_it_create_copy_start() -> None:
    text = render_docker_run(ContainerSpec("image:1", files={"/x": ShippedFile("aGk=")}), "n")
    assert [line.split()[1] for line in text.splitlines() if line.startswith("docker ")] == ["create", "start"]
    assert "docker cp - n:/" in text


def test_an_entrypoint_of_several_words() -> None:
    argv = argv_of(render_docker_run(ContainerSpec("image:1", entrypoint=("a", "b"), command=("c",)), "n"))
    assert argv[argv.index("--entrypoint") + 1] == "a"
    assert argv[-3:] == ["image:1", "b", "c"]


def test_health_checks() -> None:
    def text(check: Healthcheck) -> str:
        return render_docker_run(ContainerSpec("image:1", healthcheck=check), "n")

    assert "--no-healthcheck" in text(Healthcheck(()))
    assert "--health-cmd 'a b'" in text(Healthcheck(("CMD-SHELL", "a b")))
    assert "--health-cmd 'a '\"'\"'b c'\"'\"''" in text(Healthcheck(("CMD", "a", "b c")))
    assert "--health-interval 1.5s" in text(Healthcheck(None, interval=1.5))
    assert "--health-cmd" not in text(Healthcheck(None, interval=1.5))
