"""What keeps an estimate from being known, or makes it less sure. Forbids nothing."""

from __future__ import annotations

from collections.abc import Iterator

from deployer.backends.base import Backend
from deployer.catalog.quantizations import QUANTIZATIONS, Quantization
from deployer.dataclass import replace
from deployer.errors import Diagnostic, Severity
from deployer.planning.estimate_cache import cache_bits
from deployer.planning.estimate_request import Card, Serving, SizedModel

CHECKPOINT_NEEDED = "checkpoint-needed"


def unknowns(model: SizedModel, serving: Serving, card: Card | None) -> Iterator[Diagnostic]:
    """What keeps the verdict from being known, or makes it less sure."""
    if model.shape is None:
        yield _info("model-unread", f"what `{model.name}` is made of is not known: {model.unread or 'nothing says it'}")
    if model.weights is None:
        yield _info("weights-unknown", f"how large the weights of `{model.name}` are is not known")
    elif model.weights.source == "config":
        yield _info("weights-computed", "the weights are computed from config.json; no file of them was read")
    if serving.backend.memory is None:
        yield _info("backend-unknown", f"how `{serving.backend.name}` uses the memory of GPUs is not known")
    if cache_bits(serving.kv_dtype) is None:
        yield _info("kv-dtype-unknown", f"how large an element of type `{serving.kv_dtype}` is, is not known")
    if card is None:
        yield _info("no-gpu", "no GPU is named, so nothing says whether it fits", "name one, as in `--gpu H100`")
    if model.shape is not None and model.shape.cache and serving.context_on(card, model.shape) is None:
        hint = "say it with `--context`"
        yield _info("context-unknown", f"how long a text `{model.name}` takes is not known", hint)
    stored = model.shape.quantized if model.shape is not None else None
    known = QUANTIZATIONS.get(serving.quantization or "")
    if serving.quantization is not None and known is None:
        yield _info("quantization-unknown", f"how large weights in `{serving.quantization}` are, is not known")
    elif known is not None and stored is None and not _quantizes(serving.backend, known):
        message = (
            f"`{model.name}` is not quantized; this is what a checkpoint of it in {serving.quantization} would need"
        )
        yield _info(CHECKPOINT_NEEDED, message)


def _quantizes(backend: Backend, kind: Quantization) -> bool:
    """Its server makes such weights of plain ones."""
    return kind.by_server and (backend.memory is None or backend.memory.quantizes)


def _info(code: str, message: str, hint: str | None = None) -> Diagnostic:
    return Diagnostic(code, message, hint=hint, severity=Severity.INFO)


def said_in_plans(problem: Diagnostic, backend: Backend, kind: str | None) -> Diagnostic:
    """Of weights that an estimate may suppose, and no server can load."""
    if problem.code != CHECKPOINT_NEEDED:
        return problem
    message = f"{problem.message.partition(';')[0]}, and `{backend.name}` serves {kind} of checkpoints that are"
    hint = f"point its `source` at a checkpoint in {kind}, or leave `quantization` out"
    return replace(problem, message=message, hint=hint, severity=Severity.WARNING)
