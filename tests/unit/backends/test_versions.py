from __future__ import annotations

import pytest

from deployer import backends
from deployer.backends.versions import has_flag, parse_version, tag_of, version_in

VLLM = backends.find("vllm")
LLAMA = backends.find("llama.cpp")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("v0.11.2", (0, 11, 2)),
        ("0.9", (0, 9)),
        ("v0.11.0-cu129", (0, 11, 0)),
        ("b4719", (4719,)),
        ("nightly", None),
        ("latest", None),
        ("", None),
        (None, None),
    ],
)
def test_versions_are_numbers(text: str | None, number: tuple[int, ...] | None) -> None:
    assert parse_version(text) == number


def test_numbers_are_compared_as_numbers() -> None:
    assert parse_version("0.9.2") < parse_version("0.10.0")  # type: ignore[operator]


@pytest.mark.parametrize(
    ("pattern", "version", "tag"),
    [
        ("v{number}", "v0.11.2", "v0.11.2"),
        ("v{number}", "0.11.2", "v0.11.2"),
        ("v{number}", "nightly", "nightly"),
        ("server-cuda-b{number}", "b4719", "server-cuda-b4719"),
        ("server-cuda-b{number}", "4719", "server-cuda-b4719"),
        ("server-b{number}", "server-cuda13", "server-cuda13"),
    ],
)
def test_tags_of_versions(pattern: str, version: str, tag: str) -> None:
    assert tag_of(pattern, version) == tag


def test_a_tag_gives_its_version_back() -> None:
    assert version_in("server-cuda-b4719", "server-cuda-b{number}") == "4719"
    assert version_in("server-cuda", "server-cuda-b{number}") is None
    assert version_in("v0.11.0-cu129", "v{number}") == "0.11.0-cu129"
    assert version_in("latest", "v{number}") is None


@pytest.mark.parametrize(
    ("flag", "version", "has"),
    [
        ("--task", "v0.10.0", True),
        ("--task", "v0.12.0", True),
        ("--task", "v0.13.0", False),
        ("--task", None, False),
        ("--runner", "v0.10.1", False),
        ("--runner", "v0.10.2", True),
        ("--runner", None, True),
        ("--enable-reasoning", "0.9.2", True),
        ("--enable-reasoning", "0.10.0", False),
        ("--not-in-the-table", "0.10.0", True),
        ("--max-model-len", "0.1", True),
    ],
)
def test_flags_by_version(flag: str, version: str | None, has: bool) -> None:
    assert VLLM is not None
    assert has_flag(VLLM, flag, version) is has


def test_a_moving_tag_counts_as_the_newest() -> None:
    assert LLAMA is not None
    assert not has_flag(LLAMA, "--draft-max", None)
    assert has_flag(LLAMA, "--draft-max", "b4719")
