"""Hubs that answer with HTML, garbage, lies about lengths, or without end: an error, or nothing that is believed."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployer.engine.model_reading import read_model
from deployer.errors import DeployerError, Diagnostic, OperationError
from deployer.spec.language import Model
from deployer.values.weights import COMMIT, Listing
from deployer.weights.access import Access
from deployer.weights.bounded import TooLargeError, TooLongError, all_of, within
from deployer.weights.https import list_https
from deployer.weights.rest import MOST
from deployer.weights.sources import list_source
from deployer.workflow.hub import HubFiles, HubModel
from tests.support.rude import USUAL, RudeServer, rude_server

MIB = 1 << 20
HTML = b"<!DOCTYPE html><html><body>Sign in to the network</body></html>"
HUBS = ["hf://org/name", "modelscope://org/name"]
FILE = "/m-00001-of-00002.gguf"  # behind the server itself
PATHS = st.text(max_size=12) | st.sampled_from(["config.json", "../x", "/etc/passwd", "model.gguf", "a\x00b", "\ud800"])
SIZES = st.sampled_from([0, 1, -1, 1 << 63, 1 << 64, 1e308, "7", None, True]) | st.integers()
HASHES = st.sampled_from(["a" * 64, "a" * 40, "", None, 7, "z" * 64])
LFS = st.fixed_dictionaries({"sha256": HASHES, "size": SIZES})
FILES = st.fixed_dictionaries(
    {},
    optional={
        "rfilename": PATHS, "size": SIZES, "blobId": HASHES, "Path": PATHS, "Size": SIZES, "Sha256": HASHES,
        "Type": st.sampled_from(["blob", "tree", 3]), "lfs": st.none() | LFS,
    },
)  # fmt: skip
LISTS = st.lists(FILES | st.integers() | st.none() | st.lists(st.none()), max_size=6)
CONFIG = {"architectures": [1, "X"]}
LISTINGS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "sha": HASHES, "siblings": LISTS | st.none() | st.text(max_size=3), "config": st.none() | st.just(CONFIG),
        "Data": st.none() | st.fixed_dictionaries({"Files": LISTS | st.none()}), "gguf": st.just({"pooling_type": []}),
    },
)  # fmt: skip
BODIES = st.one_of(
    LISTINGS.map(lambda said: json.dumps(said).encode()),
    st.binary(max_size=300),
    st.sampled_from([HTML, b"[" * 100_000, b"null", b"1" * 10_000, b'{"a":' * 5000, b"\x1f\x8b garbage", b""]),
)
HEADS = st.sampled_from([
    USUAL, USUAL + b"Content-Length: 7\r\n", USUAL + b"Content-Length: 99999999999999999999\r\n",
    USUAL + b"Content-Length: -1\r\n", USUAL + b"Content-Length: x\r\n", USUAL + b"Transfer-Encoding: chunked\r\n",
    USUAL + b"Content-Encoding: gzip\r\n", b"HTTP/1.1 206 Partial\r\n", b"HTTP/1.1 999 \r\n", b"HTTP/9.9 200 OK\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n", b"HTTP/1.1 302 Found\r\nLocation: \r\n", b"",
    b"HTTP/1.1 503 Sorry\r\nRetry-After: 1e308\r\n", b"HTTP/1.1 401 No\r\nX-Error-Code: RevisionNotFound\r\n",
])  # fmt: skip


@pytest.fixture(scope="module")
def hub() -> Iterator[RudeServer]:
    with rude_server() as running:
        yield running


def resolved(hub: RudeServer, source: str) -> Listing | Diagnostic:
    access = Access(hub.url)
    try:
        if source == FILE:
            return list_https(hub.url + source, None)
        return list_source(Model.model_validate({"source": source}), {"hf": access, "modelscope": access})
    except OperationError as error:
        return error.diagnostic


def estimated(hub: RudeServer, seconds: float = 60.0) -> Any:
    try:
        return read_model(HubFiles(HubModel.parse("hf://org/name"), "hf://org/name", hub.url, seconds))
    except DeployerError as error:
        return error.diagnostics[0]


def is_said_well(problem: Diagnostic) -> bool:
    lines = (problem.message, problem.hint or "", *problem.evidence)
    return all(line.isprintable() and len(line) < 1000 for line in lines) and bool(problem.message)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HEADS, BODIES, st.sampled_from([*HUBS, FILE]))
def test_whatever_a_hub_answers_is_a_listing_or_an_error(
    hub: RudeServer, head: bytes, body: bytes, source: str
) -> None:
    hub.says(head + b"\r\n" + body if head else body)
    found = resolved(hub, source)
    if isinstance(found, Diagnostic):
        assert is_said_well(found)
        return
    assert all(type(file.size) is int and 0 <= file.size <= 1 << 60 for file in found.files)
    assert COMMIT.match(found.commit)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HEADS, BODIES)
def test_and_so_it_is_for_an_estimate(hub: RudeServer, head: bytes, body: bytes) -> None:
    hub.says(head + b"\r\n" + body if head else body)
    found = estimated(hub)
    assert not isinstance(found, Diagnostic) or is_said_well(found)


@pytest.mark.parametrize("source", HUBS)
@pytest.mark.parametrize("length", [b"", b"Content-Length: 1000000000000\r\n"])
def test_an_answer_without_end_is_not_held(hub: RudeServer, source: str, length: bytes) -> None:
    hub.says(USUAL + length + b"\r\n{", more=b" " * MIB)
    tracemalloc.start()
    try:
        found = resolved(hub, source)
        assert isinstance(found, Diagnostic)
        assert "longer than" in f"{found.message} {found.evidence}"
        assert tracemalloc.get_traced_memory()[1] < 4 * MOST
    finally:
        tracemalloc.stop()
        hub.says(b"")


@pytest.mark.parametrize("answer", [USUAL, USUAL + b"\r\n{", b""])
def test_an_answer_that_drips_is_not_waited_for(hub: RudeServer, answer: bytes) -> None:
    hub.says(answer, more=b"a", pause=0.02)
    problem = estimated(hub, seconds=0.5)
    hub.says(b"")
    assert isinstance(problem, Diagnostic)
    assert problem.code == "hub-unreachable"
    assert "takes longer than" in problem.message


# --- the bounds themselves -----------------------------------------------------------------------


def test_a_call_gives_or_raises_or_is_left() -> None:
    assert within(60, lambda: 7) == 7
    with pytest.raises(KeyError):
        within(60, {}.popitem)
    with rude_server() as waiting, pytest.raises(TooLongError):
        within(0.05, lambda: waiting.ended.wait(30))


def test_an_answer_is_whole_or_none() -> None:
    assert all_of([b"a", b"b"], 2) == b"ab"
    with pytest.raises(TooLargeError):
        all_of([b"a", b"bc"], 2)
    with pytest.raises(TooLongError):
        all_of([b"a", b"b"], 2, seconds=-1)
