"""On which of the usual GPUs a model fits, for those who have not chosen any yet."""

from __future__ import annotations

from collections.abc import Iterator

from deployer.catalog.gpus import find_gpu
from deployer.planning.estimate import estimate, smallest_group
from deployer.planning.estimate_request import Card, Serving, SizedModel
from deployer.values.estimate import Choice, Fit

USUAL = ("T4", "L4", "RTX 4090", "RTX 5090", "L40S", "A100 40GB", "A100", "H100", "H200", "B200")


def usual_choices(model: SizedModel, serving: Serving, *, tensor_given: bool) -> Iterator[Choice]:
    """The smallest group of each kind, or the one that was asked for; kinds on which it does not fit are left out."""
    for name in USUAL:
        gpu = find_gpu(name)
        card = Card.of(gpu) if gpu is not None else None
        if card is None:
            continue
        chosen = serving if tensor_given else smallest_group(model, serving, card, None)
        found = estimate(model, chosen, card)
        if found.verdict in (Fit.FITS, Fit.TIGHT) and found.max_context is not None:
            yield Choice(card.name, chosen.tensor, chosen.stages, found.max_context, found.verdict)
