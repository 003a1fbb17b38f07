"""What `verify` prints: a line for each replica, with its answer or what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deployer.values.answers import ReplicaAnswer
from deployer.view.diagnostics import diagnostic_json
from deployer.view.json_text import FORMAT_VERSION
from deployer.view.measures import render_seconds
from deployer.view.page import Page, Span, Style


def render_answer(answer: ReplicaAnswer) -> Page:
    page = Page()
    name = f"{answer.key} on {answer.host}" if answer.host else str(answer.key)
    if answer.problem is None:
        took = render_seconds(answer.seconds)
        page.line(Span("ok    ", Style.ADDED), f"{name} ({took})  ", Span(answer.answer, Style.DIM))
    else:
        page.line(Span("FAIL  ", Style.ERROR), f"{name}: {answer.problem.message}")
    return page


def answers_json(answers: Sequence[ReplicaAnswer]) -> dict[str, Any]:
    ordered = sorted(answers, key=lambda answer: answer.key)
    return {"format_version": FORMAT_VERSION, "replicas": [_json(answer) for answer in ordered]}


def _json(answer: ReplicaAnswer) -> dict[str, Any]:
    return {
        "service": answer.key.service,
        "replica": answer.key.index,
        "host": answer.host or None,
        "container": answer.container or None,
        "ok": answer.problem is None,
        "answer": answer.answer or None,
        "seconds": round(answer.seconds, 3),
        "problem": diagnostic_json(answer.problem) if answer.problem is not None else None,
    }
