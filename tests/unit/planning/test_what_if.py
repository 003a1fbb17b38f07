"""What is supposed, and where replicas would be then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.planning.what_if import (
    HostHas,
    HostLost,
    ModelIs,
    Settings,
    Supposition,
    fragment,
    parse_supposition,
    supposed_words,
)


@pytest.mark.parametrize(
    ("text", "meant", "words"),
    [
        ("host gpu-b lost", HostLost("gpu-b"), "host `gpu-b` is lost"),
        ("host  gpu-b is lost", HostLost("gpu-b"), "host `gpu-b` is lost"),
        ("host gpu-c has 8 x H200", HostHas("gpu-c", 8, "H200"), "host `gpu-c` has 8 x H200"),
        ("host new with 2x RTX 4090", HostHas("new", 2, "RTX 4090"), "host `new` has 2 x RTX 4090"),
        ("model big is big/config.json", ModelIs("big", "big/config.json"), "model `big` is as `big/config.json` says"),
        (
            "service big: {model: big, replicas: 2}",
            Settings("services", "big", "{model: big, replicas: 2}"),
            "service `big` is {model: big, replicas: 2}",
        ),
    ],
)
def test_what_can_be_supposed(text: str, meant: Supposition, words: str) -> None:
    assert parse_supposition(text) == meant
    assert supposed_words(meant) == words


@pytest.mark.parametrize(
    "text", ["", "gpu-b lost", "host a has 0 x H100", "host a has 65 x H100", "service a: x", "host a: b: {}"]
)
def test_what_cannot(text: str) -> None:
    with pytest.raises(ValueError, match="write `host NAME lost`"):
        parse_supposition(text)


@given(st.text(alphabet=" :{}abxhostmdelvcr123\n", max_size=60))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        found = parse_supposition(text)
    except ValueError:
        return
    assert isinstance(found, ModelIs) == (fragment(found) is None)
    assert supposed_words(found)
