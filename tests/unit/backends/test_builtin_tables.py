"""Tables of models that backends have themselves."""

from __future__ import annotations

import pytest

from deployer import backends
from deployer.backends.builtin_tables import parse_table
from deployer.spec.language.models import Category


def test_a_table() -> None:
    assert parse_table("# comment: here\nembedding:\na b\nreranker: c\n") == {
        "a": "embedding",
        "b": "embedding",
        "c": "reranker",
    }


@pytest.mark.parametrize("text", ["a\n", "llm:\na a\n", "llm:\na\nembedding:\na\n"])
def test_a_table_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="stands twice"):
        parse_table(text)


def test_tables_name_categories_that_their_backend_serves() -> None:
    with_tables = [backend for backend in backends.load_all() if len(backend.builtin)]
    assert [backend.name for backend in with_tables] == ["ollama", "xinference"]
    for backend in with_tables:
        assert set(backend.builtin.values()) <= {*Category.__args__} & {*backend.categories}
        assert {"builtin", "ollama"} & {*backend.sources}
