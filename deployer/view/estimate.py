"""An estimate for people, with every term, and as JSON."""

from __future__ import annotations

from typing import Any

from deployer.errors import Diagnostic, Severity
from deployer.values.estimate import Choice, Estimate, Fit
from deployer.view.diagnostics import render_diagnostics
from deployer.view.json_text import FORMAT_VERSION
from deployer.view.measures import render_bytes
from deployer.view.page import Page, Span, Style

WORDS = {
    Fit.FITS: ("fits", Style.ADDED),
    Fit.TIGHT: ("tight: it may or may not fit", Style.CHANGED),
    Fit.NO: ("does not fit", Style.ERROR),
    Fit.UNKNOWN: ("not known", Style.CHANGED),
}
WIDTH = 16


def render_estimate(found: Estimate) -> Page:
    page = Page()
    word, style = WORDS[found.verdict]
    used = found.tensor_parallel * found.pipeline_parallel
    where = "" if found.gpu is None else f" on {used} x {found.gpu}"
    page.line(Span(found.model, Style.BOLD), f"{where} by {found.backend}: ", Span(word, style))
    page.blank()
    for label, value in _heads(found):
        page.line(f"  {label:{WIDTH}}", value)
    page.blank()
    page.line("  of each GPU:" if used > 1 else "  of the GPU:")
    for label, size, what in _terms(found):
        page.line(f"    {label:{WIDTH - 2}}", f"{_size(size):>10}", f"  {what}" if what else "")
    if found.choices:
        page.blank()
        page.extend(_render_choices(found.choices))
    if found.problems:
        page.blank()
        page.extend(render_diagnostics(found.problems))
    return page


def _render_choices(choices: tuple[Choice, ...]) -> Page:
    page = Page()
    page.line("  on usual GPUs:")
    width = max(len(choice.gpu) for choice in choices)
    for choice in choices:
        used = choice.tensor_parallel * choice.pipeline_parallel
        word, style = WORDS[choice.verdict]
        longest = f"up to {choice.max_context} tokens  "
        page.line(f"    {used:>2} x {choice.gpu:{width}}  {longest:>24}", Span(word.partition(":")[0], style))
    return page


def _heads(found: Estimate) -> list[tuple[str, str]]:
    rows = []
    if found.parameters is not None:
        rows.append(("parameters", f"{found.parameters / 1e9:.2f} billion"))
    rows.append(("parallel", f"tensor {found.tensor_parallel}, pipeline {found.pipeline_parallel}"))
    held = f", {found.sequences} at once" if found.sequences > 1 else ""
    rows.append(("context", "not known" if found.context is None else f"{found.context} tokens{held}"))
    if found.max_context is not None:
        rows.append(("longest", f"{found.max_context} tokens{held}" if found.max_context else "none fits"))
    return rows


def _terms(found: Estimate) -> list[tuple[str, int | None, str]]:
    terms, band = found.terms, found.terms.band
    each = found.kv_bytes_per_token
    rows: list[tuple[str, int | None, str]] = [
        ("weights", terms.weights, ""),
        ("KV cache", terms.kv_cache, f"{render_bytes(each)} a token" if each else ""),
        ("activation", terms.activation, "a forward pass of the largest batch"),
        ("graphs", terms.graphs, "CUDA graphs"),
        ("overhead", terms.overhead, "CUDA contexts and what GPUs talk through"),
    ]
    if terms.lora:
        rows.append(("adapters", terms.lora, ""))
    spread = f"{_size(band[0])} to {_size(band[1])}" if band is not None else ""
    return [*rows, ("need", terms.need, spread), ("budget", found.budget, "what the server may take")]


def _size(size: int | None) -> str:
    return "?" if size is None else render_bytes(size)


def estimate_json(found: Estimate) -> dict[str, Any]:
    terms = found.terms
    return {
        "format_version": FORMAT_VERSION,
        "model": found.model,
        "params": found.parameters,
        "backend": found.backend,
        "gpu": found.gpu,
        "count": found.count,
        "tensor_parallel": found.tensor_parallel,
        "pipeline_parallel": found.pipeline_parallel,
        "context": found.context,
        "concurrency": found.sequences,
        "kv_bytes_per_token": found.kv_bytes_per_token,
        "per_gpu": {
            "weights": terms.weights,
            "kv_cache": terms.kv_cache,
            "activation": terms.activation,
            "graphs": terms.graphs,
            "overhead": terms.overhead,
            "lora": terms.lora,
            "need": terms.need,
            "band": list(terms.band) if terms.band is not None else None,
            "budget": found.budget,
        },
        "max_context": found.max_context,
        "verdict": str(found.verdict),
        "fits_on": [_choice(choice) for choice in found.choices],
        "reasons": [_reason(problem) for problem in found.problems],
    }


def _choice(choice: Choice) -> dict[str, Any]:
    return {
        "gpu": choice.gpu,
        "tensor_parallel": choice.tensor_parallel,
        "pipeline_parallel": choice.pipeline_parallel,
        "max_context": choice.max_context,
        "verdict": str(choice.verdict),
    }


def _reason(problem: Diagnostic) -> dict[str, Any]:
    severity = Severity(problem.severity)
    return {"code": problem.code, "message": problem.message, "severity": str(severity), "hint": problem.hint}
