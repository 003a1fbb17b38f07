"""Bytes of weights on one GPU, as a server has them loaded."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from deployer.catalog.quantizations import DTYPE_BITS, QUANTIZATIONS
from deployer.dataclass import dataclass
from deployer.values.model_shape import ModelShape
from deployer.values.model_weights import ModelWeights, WeightParts


@dataclass(frozen=True, slots=True)
class Spread:
    """One model over several GPUs: `tensor` of them share each layer, `stages` have layers of their own. `share`: of
    all layers, those that are on GPUs; the others are left to the processor. `offloaded`: bytes of the layers of each
    GPU that stay in the host's memory."""

    tensor: int = 1
    stages: int = 1
    share: Fraction = Fraction(1)
    offloaded: int = 0

    def layers(self, all_of_them: int) -> int:
        """Of the stage that has most."""
        return -(-ceil(all_of_them * self.share) // self.stages)


def loaded(weights: ModelWeights, shape: ModelShape, dtype: str | None, quantization: str | None) -> WeightParts:
    """The weights after a server changed their type, or quantized them; of a quantized checkpoint as they are."""
    parts = weights.parts
    if shape.is_gguf or shape.quantized is not None:
        return parts
    plain = Fraction(served_bits(shape, dtype), weights.float_bits)
    known = QUANTIZATIONS.get(quantization or "")
    linear = plain if known is None else known.bits_per_weight() / weights.float_bits
    return WeightParts(
        linear=_times(parts.linear, linear),
        kv=_times(parts.kv, linear),
        whole=_times(parts.whole, plain),
        embedding=_times(parts.embedding, plain),
        head=_times(parts.head, plain),
        towers=_times(parts.towers, plain),
    )


def served_bits(shape: ModelShape, dtype: str | None) -> int:
    """Of a plain weight in memory. Where nobody says a type, models of 32 bits are served in 16."""
    named = DTYPE_BITS.get(dtype or "auto")
    return named if named is not None else 16


def _times(size: int, factor: Fraction) -> int:
    return -(-size * factor.numerator // factor.denominator)


def weights_of_gpu(parts: WeightParts, shape: ModelShape, spread: Spread, *, embeds_on_host: bool) -> int:
    """Of the GPU that holds most. What makes keys and values is held again where GPUs are more than heads of them; the
    first stage has the embeddings, the last one the output layer, and towers are whole on every GPU."""
    group = min(spread.tensor, shape.kv_heads)
    layers = -(-parts.linear // spread.tensor) + -(-parts.kv // group) + parts.whole
    held = -(-layers * spread.layers(shape.layers) // shape.layers)
    head = parts.head or parts.embedding
    if embeds_on_host:
        ends = head if spread.share == 1 else 0
    elif spread.stages == 1:
        ends = parts.embedding + parts.head
    else:
        ends = max(parts.embedding, head)
    return max(0, held - spread.offloaded) + -(-ends // spread.tensor) + parts.towers
