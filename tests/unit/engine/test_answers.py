"""What counts as an answer of a model that works."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deployer.engine.answers import (
    BadAnswer,
    chat_text,
    check_scores,
    check_text,
    check_vector,
    completion_text,
    listed_abilities,
    listed_models,
)


def body(data: Any) -> bytes:
    return json.dumps(data).encode()


def message(**fields: Any) -> bytes:
    return body({"choices": [{"message": fields}]})


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (message(content="hi"), "hi"),
        (message(content=None, reasoning_content="I think"), "I think"),
        (message(content="", reasoning="hm"), "hm"),
        (message(content="x" * 20000), "x" * 10000),
    ],
)
def test_chat(data: bytes, text: str) -> None:
    assert chat_text(data) == text


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"[]", b"[" * 100000, body({}), body({"choices": []}), body({"choices": [3]}), message(content=" ")],
)
def test_no_chat(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        chat_text(data)


def test_completion() -> None:
    assert completion_text(body({"choices": [{"text": " words"}]})) == " words"
    with pytest.raises(BadAnswer):
        completion_text(body({"choices": [{"text": "\n"}]}))


@pytest.mark.parametrize("text", ["ready", "吗", "42", "xqzt bbb ccc", "aaa", "...ok", "né\N{REPLACEMENT CHARACTER}e"])
def test_sense_and_random_letters_pass(text: str) -> None:
    check_text(text, None)


@pytest.mark.parametrize(
    "text", ["", "  ", "?!…", "zzzzzzzzzz", "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}" * 9]
)
def test_nonsense(text: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        check_text(text, None)
    assert caught.value.code == "nonsense-answer"


def test_what_the_spec_expects() -> None:
    check_text("It is Paris.", "Paris|paris")
    with pytest.raises(BadAnswer) as caught:
        check_text("It is Rome.", "Paris")
    assert caught.value.code == "unexpected-answer"


def embedding(vector: Any) -> bytes:
    return body({"data": [{"embedding": vector}]})


def test_a_vector() -> None:
    assert check_vector(embedding([0, 0.5, -1] * 4)) == 12
    assert check_vector(embedding([0, 0.5, -1] * 4), 12) == 12


def test_a_vector_of_another_model() -> None:
    with pytest.raises(BadAnswer, match="is a vector of 12, and the model's files make vectors of 384") as caught:
        check_vector(embedding([0, 0.5, -1] * 4), 384)
    assert caught.value.code == "other-model"


@pytest.mark.parametrize(
    "data",
    [
        embedding([0.0] * 12),
        embedding([1.0] * 8),
        embedding(["x"] * 12),
        embedding([True] * 12),
        embedding(None),
        b'{"data": [{"embedding": [NaN,1,1,1,1,1,1,1,1,1]}]}',
        b'{"data": [{"embedding": [1e999,1,1,1,1,1,1,1,1,1]}]}',
        body({"data": []}),
        body({"data": "no"}),
    ],
)
def test_no_vector(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        check_vector(data)


@pytest.mark.parametrize(
    "data",
    [
        {"results": [{"index": 0, "relevance_score": 2.5}, {"index": 1, "relevance_score": -1}]},
        {"data": [{"index": 1, "score": -1}, {"index": 0, "score": 2.5}]},
        [{"index": 1, "score": -1}, {"index": 0, "score": 2.5}],
    ],
)
def test_scores(data: Any) -> None:
    assert check_scores(body(data), 2) == (2.5, -1.0)


@pytest.mark.parametrize(
    "data",
    [
        {"results": []},
        {"results": [{"index": 0, "score": 1}]},
        {"results": [{"index": 0, "score": 1}, {"index": 1, "score": 1}]},
        {"results": [{"index": 0, "score": "a"}, {"index": 1, "score": 1}]},
        "no",
        None,
    ],
)
def test_no_scores(data: Any) -> None:
    with pytest.raises(BadAnswer):
        check_scores(body(data), 2)


@pytest.mark.parametrize(
    ("data", "names"),
    [
        ({"data": [{"id": "a"}, {"id": "b"}]}, ("a", "b")),
        ({"models": [{"name": "a", "model": "a:latest"}], "data": [{"id": "a"}]}, ("a",)),
        ({"models": [{"name": "a"}]}, ("a",)),
        ({"data": "x"}, ()),
        ({"data": [1, {"id": 2}]}, ()),
        ({"data": [{"id": "a", "aliases": ["a", "b", 3]}]}, ("a", "b")),
        ({"data": [{"id": "a", "aliases": "b"}]}, ("a",)),
    ],
)
def test_the_models_list(data: Any, names: tuple[str, ...]) -> None:
    assert listed_models(body(data)) == names


def test_numbers_of_any_length_are_no_vector_and_no_scores() -> None:
    huge = "1" + "0" * 400
    with pytest.raises(BadAnswer):
        check_vector(f'{{"data": [{{"embedding": [{", ".join([huge] * 16)}]}}]}}'.encode())
    with pytest.raises(BadAnswer):
        check_scores(f'[{{"index": 0, "score": {huge}}}, {{"index": 1, "score": 1}}]'.encode(), 2)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"data": [{"id": "ocr", "model_ability": ["ocr"]}, {"id": "chat"}]}, {"ocr": ("ocr",)}),
        ({"data": [{"id": "x", "model_ability": "ocr"}, {"id": "y", "model_ability": []}, "z"]}, {}),
        ({"data": {"id": "x"}}, {}),
        ({"data": [{"id": 7, "model_ability": ["a"] * 100}]}, {"7": ("a",) * 20}),
    ],
)
def test_what_listed_models_can_do(data: object, found: dict[str, tuple[str, ...]]) -> None:
    assert listed_abilities(body(data)) == found
