"""X must say why a model did not come up: by its log, what to change, and where the log is kept."""

from __future__ import annotations

import json
from pathlib import Path

from tests.contract.operations.bench import SECRETS, Bench

TOO_LONG = (
    "ValueError: To serve at least one request with the models's max seq len (131072), (16.0 GiB KV cache is needed, "
    "which is larger than the available KV cache memory (5.42 GiB). Based on the available memory, the estimated "
    "maximum model length is 44368."
)


def kept(bench: Bench) -> dict[str, str]:
    folder = bench.directory / "state" / "suite" / "logs"
    return {path.name: path.read_text("utf-8") for path in folder.iterdir()} if folder.exists() else {}


def test_a_known_cause_is_named_with_the_change_that_helps(bench: Bench) -> None:
    name = bench.running(MODE="exit", LAST_WORDS=TOO_LONG)
    found = bench.failure(bench.waiting(name))
    assert found.code == "container-exited"
    assert found.message.endswith(
        "before it was ready: the KV cache holds 44,368 tokens, less than one request of 131,072"
    )
    assert found.evidence[:2] == (TOO_LONG, "stub: loading")
    assert found.hint == "services.chat: set `options.context_length` to 44368 or lower"


def test_what_is_not_known_is_not_guessed_at_and_the_log_is_kept(bench: Bench) -> None:
    bench.secrets.value("api", "here")
    name = bench.running(MODE="exit", LAST_WORDS=f"frobnication failed for {SECRETS['api']}")
    found = bench.failure(bench.waiting(name))
    assert found.message.endswith("exited with 1 before it was ready")
    assert found.evidence == (
        "stub: loading",
        "frobnication failed for ***",
        f"the whole log is kept on the host: {bench.directory}/state/suite/logs/{name}.log",
    )
    assert kept(bench) == {f"{name}.log": "stub: loading\nfrobnication failed for ***\n"}
    path = Path(found.evidence[-1].partition(": ")[2])
    assert path.stat().st_mode & 0o077 == 0


def test_lines_that_only_inform_are_no_cause(bench: Bench) -> None:
    said = "warning: no usable GPU found, --gpu-layers option will be ignored"
    found = bench.failure(bench.waiting(bench.running(MODE="exit", LAST_WORDS=said)))
    assert found.message.endswith("exited with 1 before it was ready")
    assert said in found.evidence


def test_no_more_logs_are_kept_than_somebody_looks_at(bench: Bench) -> None:
    folder = bench.directory / "state" / "suite" / "logs"
    folder.mkdir(parents=True)
    for number in range(30):
        (folder / f"suite_chat_{number}_000000000000.log").write_text("old")
    name = bench.running(MODE="exit")
    bench.failure(bench.waiting(name))
    assert len(kept(bench)) == 20
    assert f"{name}.log" in kept(bench)


def test_where_nothing_can_be_kept_the_cause_is_told_all_the_same(bench: Bench) -> None:
    folder = bench.directory / "state" / "suite"
    folder.mkdir(parents=True)
    (folder / "logs").write_text("a file")
    found = bench.failure(bench.waiting(bench.running(MODE="exit", LAST_WORDS=TOO_LONG)))
    assert found.hint == "services.chat: set `options.context_length` to 44368 or lower"
    assert not any("is kept" in line for line in found.evidence)


def test_a_command_that_changes_nothing_keeps_nothing(bench: Bench) -> None:
    name = bench.running(MODE="exit")
    bench.apply = ""
    bench.failure(bench.waiting(name))
    assert kept(bench) == {}


def test_one_that_stalls_tells_what_its_log_says(bench: Bench) -> None:
    name = bench.running(MODE="silent")
    found = bench.failure(bench.waiting(name, timeout=30, stall=1.0))
    assert found.code == "stalled"
    assert found.evidence[-1].startswith("the whole log is kept on the host: ")


def test_an_answer_tells_the_cause_before_the_log_does(bench: Bench) -> None:
    said = json.dumps({"error": "model requires more system memory (37.3 GiB) than is available (24.7 GiB)"})
    models = json.dumps({"data": [{"id": "tiny"}]})
    name = bench.running(MODELS=models, CHAT=said, CHAT_STATUS="500")
    bench.perform(bench.waiting(name))
    found = bench.failure(bench.probing(name))
    assert found.code == "bad-answer"
    assert found.message.endswith("HTTP 500: the model needs 37.3 GiB of memory, and 24.7 GiB are free")
    assert found.hint is not None
    assert found.hint.startswith("services.chat: lower `options.context_length`")
