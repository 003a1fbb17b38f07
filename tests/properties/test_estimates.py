"""Laws of the estimator, for any model, server and GPU."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from deployer import backends
from deployer.catalog.gpus import known_gpus
from deployer.formats.model_config import parse_model_config
from deployer.formats.numbers import FormatError
from deployer.planning.estimate import estimate, has_room, judge, longest_context, smallest_group, terms_of
from deployer.planning.estimate_fixes import explained
from deployer.planning.estimate_request import Card, Serving, SizedModel
from deployer.planning.estimate_rules import is_divisible
from deployer.planning.weights_counted import stored_as_shaped
from deployer.values.estimate import Estimate, Fit
from tests.support.models import CONFIGS

KNOWN = [backend for backend in backends.load_all() if backend.memory is not None]
CARDS = [card for gpu in known_gpus() if gpu.vendor == "nvidia" and (card := Card.of(gpu)) is not None]
WIDTHS = st.sampled_from([64, 128, 256])


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """config.json of a model that could be: a known one, or of any sizes and kinds of layers."""
    if draw(st.booleans()):
        return CONFIGS[draw(st.sampled_from(sorted(CONFIGS)))]
    layers, kv_heads = draw(st.integers(1, 100)), draw(st.sampled_from([1, 2, 4, 8, 10, 32]))
    heads, width = kv_heads * draw(st.integers(1, 8)), draw(WIDTHS)
    kinds = ["full_attention", "sliding_attention", "linear_attention"]
    made = {
        "model_type": "any", "num_hidden_layers": layers, "hidden_size": heads * width, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "head_dim": width, "vocab_size": draw(st.integers(1000, 300_000)),
        "intermediate_size": draw(st.integers(1, 60)) * 512, "max_position_embeddings": draw(st.integers(16, 1 << 20)),
        "tie_word_embeddings": draw(st.booleans()), "sliding_window": 1024,
        "torch_dtype": draw(st.sampled_from(["float32", "bfloat16"])),
        "layer_types": draw(st.lists(st.sampled_from(kinds), min_size=layers, max_size=layers)),
    }  # fmt: skip
    sparse = {"num_experts": draw(st.integers(2, 64)), "num_experts_per_tok": 2, "moe_intermediate_size": 768}
    quantized = {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}}
    return made | (sparse if draw(st.booleans()) else {}) | (quantized if draw(st.booleans()) else {})


@st.composite
def models(draw: st.DrawFn) -> SizedModel:
    shape = parse_model_config(json.dumps(draw(configs())).encode())
    shape = replace(shape, is_gguf=draw(st.booleans()))
    return SizedModel("m", shape, stored_as_shaped(shape))


SERVINGS = st.builds(
    Serving,
    st.sampled_from(KNOWN),
    context=st.none() | st.integers(1, 1 << 18),
    sequences=st.integers(1, 64),
    kv_dtype=st.sampled_from([None, "auto", "fp8", "q8_0", "float32"]),
    quantization=st.sampled_from([None, "fp8", "awq"]),
    tensor=st.sampled_from([1, 2, 3, 4, 8]),
    stages=st.sampled_from([1, 2, 5]),
    fraction=st.none() | st.floats(0.05, 1.0),
    batch_tokens=st.none() | st.integers(64, 16384),
    max_sequences=st.none() | st.integers(1, 1024),
    loras=st.integers(0, 3),
)
CARD = st.sampled_from(CARDS)
MORE = st.integers(1, 1 << 16)


def need(model: SizedModel, serving: Serving, card: Card, context: int) -> int:
    found = terms_of(model, serving, card, context).need
    assert found is not None
    return found


@given(models(), SERVINGS, CARD, MORE, MORE)
def test_longer_texts_and_more_of_them_never_need_less(
    model: SizedModel, serving: Serving, card: Card, context: int, more: int
) -> None:
    least = need(model, serving, card, context)
    assert need(model, serving, card, context + more) >= least
    assert need(model, replace(serving, sequences=serving.sequences + more % 64), card, context) >= least


@given(models(), SERVINGS, CARD, st.integers(1, 8), st.integers(1, 4))
def test_more_gpus_never_mean_more_weights_or_cache_on_one(
    model: SizedModel, serving: Serving, card: Card, wider: int, longer: int
) -> None:
    def held(**sizes: int) -> tuple[int, int]:
        terms = terms_of(model, replace(serving, **sizes), card, 4096)
        return terms.weights or 0, terms.kv_cache or 0

    here = held()
    split = held(tensor=serving.tensor + wider)
    assert split[0] <= here[0]
    assert split[1] <= here[1]
    if serving.backend.memory is not None and serving.backend.memory.split == "layers":
        assert held(stages=serving.stages + longer)[1] <= here[1]


@given(models(), SERVINGS, CARD)
def test_the_longest_context_fits_and_the_next_page_does_not(model: SizedModel, serving: Serving, card: Card) -> None:
    longest = longest_context(model, serving, card)
    memory, shape = serving.backend.memory, model.shape
    assert longest is not None
    assert memory is not None
    assert shape is not None
    if longest:
        assert has_room(model, serving, card, longest)
    if longest < (shape.context or 0):
        assert not has_room(model, serving, card, longest + memory.block)
    surely = longest_context(model, serving, card, surely=True)
    assert surely is not None
    assert surely <= longest


@given(models(), SERVINGS, CARD)
def test_verdict_terms_and_contexts_agree(model: SizedModel, serving: Serving, card: Card) -> None:
    found = estimate(model, serving, card)
    allowed = not any(problem.severity == "error" for problem in found.problems)
    assert found.verdict is (judge(found.terms, found.budget) if allowed else Fit.NO)
    assert found.terms.need is not None
    assert found.budget is not None
    assert found.terms.band is not None
    assert found.terms.band[0] <= found.terms.need <= found.terms.band[1]
    if allowed and found.terms.need <= found.budget:
        assert found.verdict in (Fit.FITS, Fit.TIGHT)
        assert found.context is not None
        assert found.max_context is not None
        assert found.max_context >= min(found.context, model.shape.context or 0 if model.shape else 0)
    if found.verdict is Fit.FITS:
        assert found.terms.need <= found.budget <= card.memory


@given(models(), SERVINGS, CARD, st.none() | st.integers(1, 8))
def test_the_smallest_group_is_one_that_the_model_allows(
    model: SizedModel, serving: Serving, card: Card, count: int | None
) -> None:
    chosen = smallest_group(model, serving, card, count)
    assert replace(chosen, tensor=serving.tensor) == serving
    verdict = estimate(model, chosen, card, count).verdict
    if verdict is Fit.FITS and model.shape is not None:
        assert chosen.spread.tensor == 1 or is_divisible(model.shape, chosen.spread.tensor)
        smaller = (replace(serving, tensor=size) for size in (1, 2, 4) if size < chosen.tensor)
        assert not any(estimate(model, one, card, count).verdict is Fit.FITS for one in smaller)


@given(models(), st.builds(Serving, st.sampled_from(KNOWN), context=st.none() | st.integers(1, 1 << 18)), CARD)
def test_changes_that_are_offered_work(model: SizedModel, serving: Serving, card: Card) -> None:
    found = explained(model, serving, card)
    hint = next((p.hint or "" for p in found.problems if p.code in ("does-not-fit", "fits-barely")), "")
    if not hint.startswith("it fits with "):
        return
    for change in hint.removeprefix("it fits with ").replace(" or ", ", ").split(", "):
        assert changed(model, serving, card, change).verdict is Fit.FITS, change


def changed(model: SizedModel, serving: Serving, card: Card, change: str) -> Estimate:
    option, _, value = change.replace("`", "").partition(" ")
    fields: dict[str, Any] = {
        "context_length": lambda: {"context": int(value)},
        "kv_cache_dtype": lambda: {"kv_dtype": value},
        "quantization": lambda: {"quantization": value},
        "gpu_memory_fraction": lambda: {"fraction": float(value)},
        "tensor_parallel": lambda: {"tensor": int(value)},
        "cpu_offload": lambda: {"share": Fraction(int(value), model.shape.layers if model.shape else 1)},
    }
    return estimate(model, replace(serving, **fields[option]()), card)


@given(models(), SERVINGS, st.none() | CARD)
def test_whatever_is_missing_nothing_fails(model: SizedModel, serving: Serving, card: Card | None) -> None:
    for known in (
        model,
        replace(model, shape=None),
        replace(model, weights=None),
        replace(model, shape=None, weights=None),
    ):
        found = explained(known, serving, card)
        if card is None or known.shape is None or known.weights is None:
            assert found.verdict in (Fit.UNKNOWN, Fit.NO)
            assert found.verdict is Fit.NO or found.terms.need is None or found.budget is None


ABSURD = st.sampled_from(
    [0, 1, 3, 7, 64, 4096, 1 << 16, 1 << 20, 1 << 31, 1 << 40, 1 << 63, 1e308, -1, "4", None, True, []]
)
KEYS = sorted({key for config in CONFIGS.values() for key in config} | {"moe_layer_freq", "mlp_only_layers"})


@given(st.sampled_from(sorted(CONFIGS)), st.dictionaries(st.sampled_from(KEYS), ABSURD, max_size=4), SERVINGS, CARD)
def test_whatever_a_config_says_that_is_believed_can_be_estimated(
    name: str, changes: dict[str, Any], serving: Serving, card: Card
) -> None:
    try:
        shape = parse_model_config(json.dumps({**CONFIGS[name], **changes}).encode())
    except FormatError:
        return
    found = explained(SizedModel("m", shape, stored_as_shaped(shape)), serving, card)
    assert found.max_context is None or found.max_context >= 0
    assert all(len(problem.message) < 500 for problem in found.problems)
