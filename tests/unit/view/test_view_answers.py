"""What `verify` prints, for people and for programs."""

from __future__ import annotations

import jsonschema

from deployer.errors import Diagnostic
from deployer.values.answers import ReplicaAnswer
from deployer.values.names import ReplicaKey
from deployer.view.answers import answers_json, render_answer
from deployer.view.output_schemas import output_schema

GOOD = ReplicaAnswer(ReplicaKey("chat", 1), "gpu-a", "lab_chat_1_0123456789ab", 1.25, "Paris.")
DOWN = Diagnostic("not-running", "replica `chat-0` does not run")
BAD = ReplicaAnswer(ReplicaKey("chat", 0), "", "", 0.0, problem=DOWN)


def test_a_line_each() -> None:
    assert render_answer(GOOD).render(colour=False) == "ok    chat-1 on gpu-a (1.2 s)  Paris.\n"
    assert render_answer(BAD).render(colour=False) == "FAIL  chat-0: replica `chat-0` does not run\n"


def test_programs_get_what_the_schema_says() -> None:
    data = answers_json([GOOD, BAD])
    jsonschema.validate(data, output_schema("verify"))
    assert [(r["replica"], r["ok"]) for r in data["replicas"]] == [(0, False), (1, True)]
