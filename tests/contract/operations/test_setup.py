"""What a server must be given once it answers: given once, refused, or lost on the way."""

from __future__ import annotations

import json
import threading
import time

import pytest

from deployer.engine.setup import ask_setup
from deployer.engine.watch import Abandoned, Watch
from deployer.values.canonical import digest
from deployer.values.codec import to_data
from deployer.values.operations import EnsureSetup, SetupQuestion
from deployer.values.setup import ExecCall, HttpCall
from tests.contract.operations.bench import SECRETS, Bench, eventually

ASK = HttpCall("/cgi-bin/setup", body={"model": "tiny"})
DONE = json.dumps({"status": "success"})


def serving(bench: Bench, **env: str) -> str:
    name = bench.running(**env)
    bench.perform(bench.waiting(name))
    return name


def is_set_up(bench: Bench, operation: EnsureSetup) -> bool | None:
    """As a plan asks; None without an answer."""
    question = SetupQuestion("here", "the container", operation)
    said = ask_setup([question], bench.context, {"here": bench.transport}, bench.events.append)
    return said.get("the container", {}).get(digest(to_data(operation.task)))


# --- by requests ---------------------------------------------------------------------


def test_it_is_given_once(bench: Bench) -> None:
    operation = bench.setting_up(serving(bench, SETUP=DONE, SETUP_LEAVES="ready"), ASK)
    assert is_set_up(bench, operation) is False
    assert bench.perform(operation) == ""
    assert is_set_up(bench, operation) is True
    assert bench.perform(operation) == "was so already"


def test_a_plan_asks_and_changes_nothing(bench: Bench) -> None:
    operation = bench.setting_up(serving(bench, SETUP=DONE, SETUP_LEAVES="ready"), ASK)
    for _ in range(2):
        assert is_set_up(bench, operation) is False


def test_a_server_that_is_not_there_says_nothing(bench: Bench) -> None:
    name = bench.running(MODE="silent")
    assert is_set_up(bench, bench.setting_up(name, ASK)) is None


@pytest.mark.parametrize("status", ["400", "404", "500"])
def test_a_server_that_refuses(bench: Bench, status: str) -> None:
    refusal = json.dumps({"error": f"pull model manifest: file does not exist, {SECRETS['api']} \x1b[31m"})
    name = serving(bench, SETUP=refusal, SETUP_STATUS=status, SETUP_LEAVES="ready")
    bench.secrets.value("api", "here")
    found = bench.failure(bench.setting_up(name, ASK))
    assert found.code == "setup-failed"
    why = "its registry has no such model or tag"
    assert found.message == f"the model `tiny` was refused by the server: HTTP {status}: {why}"
    assert found.hint == "correct the model's `source`"
    assert found.evidence[0] == "pull model manifest: file does not exist, ***"
    assert found.evidence[-2] == "stub: serving"


def test_a_refusal_that_is_no_json(bench: Bench) -> None:
    name = serving(bench, SETUP="<html>Bad Gateway</html>", SETUP_STATUS="502")
    assert bench.failure(bench.setting_up(name, ASK)).evidence[0] == "<html>Bad Gateway</html>"


def test_an_answer_of_many_lines_whose_last_is_an_error(bench: Bench) -> None:
    lines = [{"status": "pulling manifest"}, {"error": "max retries exceeded"}]
    name = serving(bench, SETUP="\n".join(map(json.dumps, lines)), SETUP_LEAVES="ready")
    found = bench.failure(bench.setting_up(name, ASK))
    assert found.code == "setup-failed"
    assert found.evidence[0] == "max retries exceeded"


def test_an_answer_of_many_lines_that_ends_well(bench: Bench) -> None:
    lines = [{"status": "pulling manifest"}, {"status": "success"}]
    name = serving(bench, SETUP="\n".join(map(json.dumps, lines)), SETUP_LEAVES="ready")
    assert bench.perform(bench.setting_up(name, ASK)) == ""


def test_one_that_is_not_there_although_it_was_done(bench: Bench) -> None:
    name = serving(bench, SETUP=DONE, SETUP_LEAVES="something else")
    found = bench.failure(bench.setting_up(name, ASK))
    assert found.message == "the model `tiny` was done, and is not there all the same"


def test_a_server_that_does_not_answer_in_time(bench: Bench) -> None:
    name = serving(bench, MODE="hangs", SETUP=DONE)
    found = bench.failure(bench.setting_up(name, ASK, timeout=1.0))
    assert found.message == "the model `tiny` got no answer from /cgi-bin/setup within 1 s"


def test_a_server_that_dies_of_it(bench: Bench) -> None:
    name = serving(bench, MODE="dies", SETUP=DONE)
    found = bench.failure(bench.setting_up(name, ASK))
    assert found.code == "died-on-request"
    assert "exited with 3 while it was given the model `tiny`" in found.message
    assert found.evidence[-2] == "stub: fatal error"


def test_a_connection_that_breaks(bench: Bench) -> None:
    """A container that runs, behind whose port nobody listens."""
    name = bench.running(MODE="silent")
    found = bench.failure(bench.setting_up(name, ASK))
    assert found.code == "setup-failed"
    assert found.message.startswith("the model `tiny` was broken off at /state: ")


def test_it_is_abandoned_when_the_user_asks(bench: Bench) -> None:
    name = serving(bench, MODE="hangs", SETUP=DONE)
    watch = Watch("step", "here", "set up")
    threading.Timer(0.5, watch.abandoned.set).start()
    began = time.monotonic()
    with pytest.raises(Abandoned):
        bench.perform(bench.setting_up(name, ASK, timeout=60.0), watch)
    assert time.monotonic() - began < 10


# --- by programs ---------------------------------------------------------------------


def prepare(code: int, seconds: float, *text: str) -> ExecCall:
    return ExecCall(("prepare", str(code), str(seconds), *text))


def test_a_program_that_does_it(bench: Bench) -> None:
    operation = bench.setting_up(serving(bench), prepare(0, 0.2, 'ready, it\'s "$HOME"; `date`'))
    assert bench.perform(operation) == ""
    assert bench.perform(operation) == "was so already"


def test_all_of_its_calls_are_made_in_order(bench: Bench) -> None:
    name = serving(bench, SETUP=DONE, SETUP_LEAVES="ready")
    assert bench.perform(bench.setting_up(name, prepare(0, 0, "not yet"), ASK)) == ""


def test_a_program_that_fails(bench: Bench) -> None:
    found = bench.failure(bench.setting_up(serving(bench), prepare(9, 0, "ready"), prepare(0, 0, "later")))
    assert found.code == "setup-failed"
    assert found.message == "the model `tiny` failed: `prepare` exited with code 9"
    assert found.evidence[-2] == "prepare: begins"


def test_a_program_that_does_nothing(bench: Bench) -> None:
    found = bench.failure(bench.setting_up(serving(bench), prepare(0, 0)))
    assert found.message == "the model `tiny` was done, and is not there all the same"


def test_a_program_that_the_image_lacks(bench: Bench) -> None:
    found = bench.failure(bench.setting_up(serving(bench), ExecCall(("ollama", "create", "tiny"))))
    assert found.code == "bad-command"
    assert "`ollama`" in found.message


def test_a_program_that_takes_too_long(bench: Bench) -> None:
    found = bench.failure(bench.setting_up(serving(bench), prepare(0, 30, "ready"), timeout=1.0))
    assert found.message == "the model `tiny` is not done after 1 s"


def test_a_program_is_left_when_the_user_asks(bench: Bench) -> None:
    operation = bench.setting_up(serving(bench), prepare(0, 30, "ready"), timeout=60.0)
    watch = Watch("step", "here", "set up")
    threading.Timer(0.5, watch.abandoned.set).start()
    with pytest.raises(Abandoned):
        bench.perform(operation, watch)


def test_a_program_whose_container_ends(bench: Bench) -> None:
    name = serving(bench, MODE="dies", CHAT="{}")
    operation = bench.setting_up(name, prepare(0, 30, "ready"))
    threading.Timer(0.5, lambda: bench.docker.stop(name, timeout=0)).start()
    found = bench.failure(operation)
    assert found.code == "setup-failed", found
    eventually(lambda: bench.status(name) == "exited")
