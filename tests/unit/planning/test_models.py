"""Where a model lies on a host, and what its names say of its format."""

from __future__ import annotations

import pytest

from deployer.errors import Diagnostic
from deployer.planning.models import format_of, locate_model, split_parts
from deployer.planning.render_request import ModelFacts
from deployer.spec.language import Model
from deployer.values.facts import DockerFacts, HostFacts, PathFact


def host(*paths: PathFact) -> HostFacts:
    known = {fact.path: fact for fact in paths}
    docker = DockerFacts("27", "1.47")
    return HostFacts("h1", "h1", "Debian", "6", "x86_64", 0, 0, "root", 2, 1, 1, "", docker, paths=known)


def model(path: str, **settings: object) -> Model:
    return Model.model_validate({"source": [f"file://{path}"], **settings})


def file(path: str) -> PathFact:
    return PathFact(path, "file", size=1)


def folder(path: str, *entries: str) -> PathFact:
    return PathFact(path, "directory", entries=entries)


def test_a_file() -> None:
    assert locate_model(model("/m/a.gguf"), host(file("/m/a.gguf"))) == ModelFacts("/m/a.gguf", "file", ("/m/a.gguf",))


def test_a_path_is_taken_without_its_detours() -> None:
    assert locate_model(model("/m//a.gguf"), host(file("/m//a.gguf"))) == ModelFacts(
        "/m/a.gguf", "file", ("/m/a.gguf",)
    )


def test_a_directory_of_safetensors() -> None:
    found = locate_model(model("/m/llama"), host(folder("/m/llama", "config.json", "model.safetensors")))
    assert found == ModelFacts("/m/llama", "directory")


def test_a_directory_with_one_gguf_means_that_file() -> None:
    found = locate_model(model("/m/q"), host(folder("/m/q", "q.gguf", "README.md")))
    assert found == ModelFacts("/m/q/q.gguf", "file", ("/m/q/q.gguf",))


def test_a_directory_with_several_ggufs_is_ambiguous_until_include_or_exclude_decides() -> None:
    here = host(folder("/m/q", "q-q4_k_m.gguf", "q-q8_0.gguf"))
    found = locate_model(model("/m/q"), here)
    assert isinstance(found, Diagnostic)
    assert (found.code, found.evidence) == ("ambiguous-model", ("q-q4_k_m.gguf", "q-q8_0.gguf"))
    assert found.message == "`/m/q` on host `h1` holds 2 GGUF models"
    for choice in ({"include": "*q4_k_m.gguf"}, {"exclude": ["*q8*"]}):
        assert locate_model(model("/m/q", **choice), here) == ModelFacts(
            "/m/q/q-q4_k_m.gguf", "file", ("/m/q/q-q4_k_m.gguf",)
        )


PARTS = tuple(f"/m/r1-{n:05}-of-00003.gguf" for n in (1, 2, 3))


@pytest.mark.parametrize("named", PARTS)
def test_a_split_model_by_the_name_of_any_part(named: str) -> None:
    assert locate_model(model(named), host(*map(file, PARTS))) == ModelFacts(PARTS[0], "file", PARTS)


def test_a_split_model_in_a_directory() -> None:
    names = [path.removeprefix("/m/") for path in PARTS]
    assert locate_model(model("/m"), host(folder("/m", *names))) == ModelFacts(PARTS[0], "file", PARTS)


def test_a_split_model_that_is_not_complete() -> None:
    found = locate_model(model(PARTS[0]), host(file(PARTS[0]), PathFact(PARTS[1], "missing"), file(PARTS[2])))
    assert isinstance(found, Diagnostic)
    assert found.message == f"1 of 3 parts of `{PARTS[0]}` are not on host `h1`"
    assert (found.code, found.evidence) == ("model-parts-missing", (PARTS[1],))


def test_the_part_of_another_model_is_no_substitute() -> None:
    elsewhere = file(PARTS[1].replace("/m/", "/other/"))
    found = locate_model(model(PARTS[0]), host(file(PARTS[0]), elsewhere, file(PARTS[2])))
    assert isinstance(found, Diagnostic)
    assert found.evidence == (PARTS[1],)


@pytest.mark.parametrize(
    ("kind", "code", "message"),
    [
        ("missing", "model-not-found", "model path `/m/a.gguf` is not there on host `h1`"),
        ("denied", "model-unreadable", "model path `/m/a.gguf` cannot be read by deployer's user on host `h1`"),
        ("other", "model-unreadable", "model path `/m/a.gguf` is neither a file nor a directory on host `h1`"),
    ],
)
def test_a_path_that_is_no_model(kind: str, code: str, message: str) -> None:
    found = locate_model(model("/m/a.gguf"), host(PathFact("/m/a.gguf", kind)))  # type: ignore[arg-type]
    assert isinstance(found, Diagnostic)
    assert (found.code, found.message) == (code, message)


def test_a_path_that_nobody_looked_at_is_not_there() -> None:
    found = locate_model(model("/m/a.gguf"), host())
    assert isinstance(found, Diagnostic)
    assert found.code == "model-not-found"
    hint = "put the model there, or correct `source`; `ssh h1 ls -l /m` shows what is there"
    assert found.hint == hint


@pytest.mark.parametrize(
    ("path", "entries", "expected"),
    [
        ("/m/a.gguf", None, "gguf"),
        ("/m/a", ("x.gguf", "y.safetensors"), "gguf"),
        ("/m/a", ("config.json", "model-1.safetensors"), "safetensors"),
        ("/m/a", ("config.json",), None),
        ("/m/a", None, None),
    ],
)
def test_the_format(path: str, entries: tuple[str, ...] | None, expected: str | None) -> None:
    assert format_of(model(path), None if entries is None else folder(path, *entries)) == expected


@pytest.mark.parametrize(
    "path", ["/m/a.gguf", "/m/a-00001-of-00000.gguf", "/m/a-00001-of-01000.gguf", "/m/a-1-of-3.gguf"]
)
def test_what_is_not_split(path: str) -> None:
    assert split_parts(path) == (path,)
