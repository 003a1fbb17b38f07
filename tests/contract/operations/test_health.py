"""Readiness and the real request: a server that serves, and every way in which one does not."""

from __future__ import annotations

import json
import threading
import time

import pytest

from deployer.engine.context import Site
from deployer.engine.logs import LogRequest, container_lines
from deployer.engine.readiness import bytes_read
from deployer.engine.watch import Abandoned, Watch
from deployer.values.events import StepWaiting
from deployer.values.operations import Endpoint
from tests.contract.operations.bench import SECRETS, Bench

MODELS = json.dumps({"data": [{"id": "tiny"}]})


def chat(text: str) -> str:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]})


def test_a_server_becomes_ready(bench: Bench) -> None:
    name = bench.running(DELAY="1.5")
    assert bench.perform(bench.waiting(name)) == ""
    waits = [event for event in bench.events if isinstance(event, StepWaiting)]
    assert waits
    assert waits[0].last_line == "stub: loading"
    assert 1.0 <= waits[0].seconds < 3.0


def test_one_that_exits_is_seen_at_once(bench: Bench) -> None:
    name = bench.running(MODE="exit", CODE="7", LAST_WORDS=f"no model, key {SECRETS['api']} \x1b[31mred")
    bench.secrets.value("api", "here")
    began = time.monotonic()
    found = bench.failure(bench.waiting(name, timeout=30))
    assert time.monotonic() - began < 5
    assert found.code == "container-exited"
    assert "exited with 7" in found.message
    assert found.evidence[-2] == "no model, key *** red"
    assert found.hint == "correct `services.chat` as its last lines say, then apply again"


def test_one_that_docker_keeps_restarting_is_seen(bench: Bench) -> None:
    name = bench.created(bench.server(MODE="exit"))
    bench.docker.update_container(name, restart_policy={"Name": "always"})
    bench.docker.start(name)
    found = bench.failure(bench.waiting(name))
    assert found.code == "container-exited"
    assert "stub: no such model" in found.evidence


def test_one_that_shows_no_sign_of_loading(bench: Bench) -> None:
    name = bench.running(MODE="silent")
    found = bench.failure(bench.waiting(name, timeout=30, stall=1.0))
    assert found.code == "stalled"
    assert "stub: loading" in found.evidence


def test_one_that_loads_for_too_long(bench: Bench) -> None:
    name = bench.running(MODE="ticking")
    found = bench.failure(bench.waiting(name, timeout=2.0, stall=1.9))
    assert found.code == "not-ready"
    assert any(line.startswith("stub: tick") for line in found.evidence)


def test_a_wait_is_abandoned_when_the_user_asks(bench: Bench) -> None:
    name = bench.running(MODE="ticking")
    watch = Watch("step", "here", "wait")
    threading.Timer(0.5, watch.abandoned.set).start()
    with pytest.raises(Abandoned):
        bench.perform(bench.waiting(name, timeout=30), watch)


def test_the_answer_of_a_model_that_works(bench: Bench) -> None:
    name = bench.running(MODELS=MODELS, CHAT=chat("ready,\n I am"))
    bench.perform(bench.waiting(name))
    probe = bench.probing(name, expect="(?i)ready", endpoint=Endpoint("127.0.0.1", bench.port, "api"))
    assert bench.perform(probe) == "ready, I am"


def test_a_model_that_is_not_listed(bench: Bench) -> None:
    name = bench.running(MODELS=MODELS, CHAT=chat("ready"))
    bench.perform(bench.waiting(name))
    found = bench.failure(bench.probing(name, models=("huge",)))
    assert found.code == "model-not-listed"
    assert found.evidence == ("it lists tiny",)


@pytest.mark.parametrize(
    ("answer", "expect", "code"),
    [
        (chat(" \n "), None, "nonsense-answer"),
        (chat("!?!? ...."), None, "nonsense-answer"),
        (chat("aaaaaaaaaaaa"), None, "nonsense-answer"),
        (chat("no idea"), "ready", "unexpected-answer"),
        ("<html>hello</html>", None, "bad-answer"),
    ],
)
def test_an_answer_that_is_none(bench: Bench, answer: str, expect: str | None, code: str) -> None:
    name = bench.running(MODELS=MODELS, CHAT=answer)
    bench.perform(bench.waiting(name))
    found = bench.failure(bench.probing(name, expect=expect))
    assert found.code == code
    assert found.evidence[0].startswith("it answered: ")


@pytest.mark.parametrize("status", ["400", "422", "500"])
def test_a_model_without_chat_template_completes(bench: Bench, status: str) -> None:
    name = bench.running(
        MODELS=MODELS,
        CHAT='{"error": "this model has no chat template"}',
        CHAT_STATUS=status,
        COMPLETIONS=json.dumps({"choices": [{"text": "xqzt rrb"}]}),
    )
    bench.perform(bench.waiting(name))
    assert bench.perform(bench.probing(name)) == "xqzt rrb"


def test_a_server_that_refuses_the_key(bench: Bench) -> None:
    name = bench.running(MODELS=MODELS, CHAT='{"error": "bad key"}', CHAT_STATUS="401")
    bench.perform(bench.waiting(name))
    assert bench.failure(bench.probing(name)).code == "key-refused"


def test_a_server_that_dies_at_the_first_request(bench: Bench) -> None:
    name = bench.running(MODE="dies", MODELS=MODELS, CHAT=chat("never said"))
    bench.perform(bench.waiting(name))
    found = bench.failure(bench.probing(name))
    assert found.code == "died-on-request"
    assert "exited with 3" in found.message
    assert found.evidence[-2] == "stub: fatal error"


def test_a_server_that_never_answers(bench: Bench) -> None:
    name = bench.running(MODE="hangs", MODELS=MODELS, CHAT=chat("never said"))
    bench.perform(bench.waiting(name))
    found = bench.failure(bench.probing(name, timeout=1.0))
    assert found.code == "no-answer"
    assert "stub: serving" in found.evidence


def test_a_request_is_abandoned_when_the_user_asks(bench: Bench) -> None:
    name = bench.running(MODE="hangs", MODELS=MODELS, CHAT=chat("never said"))
    bench.perform(bench.waiting(name))
    watch = Watch("step", "here", "ask")
    threading.Timer(0.5, watch.abandoned.set).start()
    began = time.monotonic()
    with pytest.raises(Abandoned):
        bench.perform(bench.probing(name, timeout=60.0), watch)
    assert time.monotonic() - began < 10


def test_an_embedding(bench: Bench) -> None:
    name = bench.running(MODELS=MODELS, EMBEDDINGS=json.dumps({"data": [{"embedding": [0.1, -0.2] * 8}]}))
    bench.perform(bench.waiting(name))
    assert bench.perform(bench.probing(name, category="embedding")) == "a vector of 16"


def test_a_vector_of_zeros(bench: Bench) -> None:
    name = bench.running(MODELS=MODELS, EMBEDDINGS=json.dumps({"data": [{"embedding": [0.0] * 16}]}))
    bench.perform(bench.waiting(name))
    assert bench.failure(bench.probing(name, category="embedding")).code == "nonsense-answer"


def test_a_reranking(bench: Bench) -> None:
    results = [{"index": 1, "relevance_score": 0.01}, {"index": 0, "relevance_score": 0.9}]
    name = bench.running(MODELS=MODELS, RERANK=json.dumps({"results": results}))
    bench.perform(bench.waiting(name))
    assert bench.perform(bench.probing(name, category="reranker")) == "scores 0.9, 0.01"


def test_what_a_container_reads_is_counted(bench: Bench) -> None:
    name = bench.running(MODE="silent")
    read = bytes_read(Site(bench.context, bench.transport, Watch("step", "here", "wait")), name)
    assert read is not None
    assert read >= 0


def test_the_log_as_lines(bench: Bench) -> None:
    name = bench.running(MODE="exit", LAST_WORDS="last words")
    id = bench.state(name)["Id"]
    lines = container_lines(bench.transport, LogRequest(id, follow=True), bench.secrets.redactor)
    assert list(lines) == ["stub: loading", "last words"]
    assert list(container_lines(bench.transport, LogRequest(id, tail=1), bench.secrets.redactor)) == ["last words"]
