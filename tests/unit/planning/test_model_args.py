"""Arguments of a model, as the backend's own program takes them."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.planning.model_args import parse_settings


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ((), {}),
        (("--model-format", "awq"), {"model_format": "awq"}),
        (("--size-in-billions=7",), {"size_in_billions": 7}),
        (("--n_gpu", "none", "--fast"), {"n_gpu": "none", "fast": True}),
        (("--a", "true", "--b", "1.5", "--c", "x=y"), {"a": True, "b": 1.5, "c": "x=y"}),
        (("--size", "0_5", "--gpu-idx", "0,1"), {"size": "0_5", "gpu_idx": "0,1"}),
        (("--empty=",), {"empty": None}),
    ],
)
def test_names_and_values(args: tuple[str, ...], found: dict[str, Any]) -> None:
    assert parse_settings(args) == found


@pytest.mark.parametrize("args", [("vLLM",), ("--a", "1", "2"), ("--a=1", "2"), ("-en", "vLLM")])
def test_a_word_that_belongs_to_no_name(args: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="belongs to no"):
        parse_settings(args)
