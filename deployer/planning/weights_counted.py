"""Weights of a model counted from its shape, where no file says how many there are.

Counts follow the modules of transformers' modeling files; they are exact for plain decoders and within a few percent
for the rest. What stays unquantized: vLLM's quantization configs leave embeddings, output layer and norms alone.
"""

from __future__ import annotations

from fractions import Fraction

from deployer.catalog.quantizations import DTYPE_BITS, QUANTIZATIONS
from deployer.dataclass import dataclass
from deployer.values.model_shape import Latent, ModelShape, Quantized, Tower
from deployer.values.model_weights import ModelWeights, WeightParts

PADDED_EXPERTS = Fraction(107, 100)  # vLLM logs of gpt-oss: kernels for mxfp4 take 6 to 8 % more than the file has
BLOCK_SCALE_BITS = 32  # of each square of fp8 weights


@dataclass(frozen=True, slots=True)
class Counts:
    """Weights by how they are spread and whether quantization takes them: `whole` ones are, `plain` ones are not."""

    linear: int
    experts: int
    kv: int
    whole: int
    plain: int
    embedding: int
    head: int
    towers: int

    @property
    def total(self) -> int:
        layers = self.linear + self.experts + self.kv + self.whole + self.plain
        return layers + self.embedding + self.head + self.towers


def count_weights(shape: ModelShape) -> Counts:
    sparse = shape.experts.layers if shape.experts is not None else 0
    attending = shape.layers - shape.mixers if shape.attention_layers is None else shape.attention_layers
    dense = shape.layers - sparse if shape.mlp_layers is None else shape.mlp_layers
    matrices = 3 if shape.gated else 2
    query, kv, whole = _attention(shape)
    router = shape.hidden * shape.experts.count * sparse if shape.experts is not None else 0
    shared = matrices * shape.hidden * shape.experts.shared * sparse if shape.experts is not None else 0
    table = shape.vocabulary * shape.hidden
    return Counts(
        linear=attending * query
        + shape.mixers * shape.mixer_weights
        + matrices * shape.hidden * shape.intermediate * dense
        + shared,
        experts=_experts(shape),
        kv=attending * kv,
        whole=attending * whole,
        plain=router + (2 * shape.layers + 1) * shape.hidden,
        embedding=table,
        head=0 if shape.tied or shape.encoder else table,
        towers=sum(map(_tower, shape.towers)),
    )


def _attention(shape: ModelShape) -> tuple[int, int, int]:
    """Weights of one layer: those that are split, those of keys and values, those that each GPU has whole."""
    if shape.latent is not None:
        return _latent(shape.hidden, shape.heads, shape.latent)
    wide = shape.heads * shape.head_width
    split = 3 if shape.gated_attention else 2
    return split * shape.hidden * wide, 2 * shape.hidden * shape.kv_heads * shape.head_width, 0


def _latent(hidden: int, heads: int, latent: Latent) -> tuple[int, int, int]:
    queries = heads * (latent.plain + latent.rope)
    unpacked = latent.rank * heads * (latent.plain + latent.value) + heads * latent.value * hidden
    packed = hidden * (latent.rank + latent.rope)
    if latent.query_rank:
        return latent.query_rank * queries + unpacked, 0, packed + hidden * latent.query_rank
    return hidden * queries + unpacked, 0, packed


def _experts(shape: ModelShape) -> int:
    if shape.experts is None:
        return 0
    matrices = 3 if shape.gated else 2
    return shape.experts.layers * shape.experts.count * matrices * shape.hidden * shape.experts.intermediate


def _tower(tower: Tower) -> int:
    return tower.layers * (4 * tower.hidden**2 + 2 * tower.hidden * tower.intermediate)


def stored_as_shaped(shape: ModelShape) -> ModelWeights:
    """The weights as the checkpoint that the shape was read of stores them."""
    counts = count_weights(shape)
    floats = DTYPE_BITS.get(shape.dtype or "bfloat16", 16)
    bits = weight_bits(shape.quantized, floats)
    experts = bits * PADDED_EXPERTS if shape.quantized is not None and shape.quantized.experts_only else bits
    linear = Fraction(floats) if shape.quantized is not None and shape.quantized.experts_only else bits
    parts = WeightParts(
        linear=_bytes(counts.linear, linear) + _bytes(counts.experts, experts),
        kv=_bytes(counts.kv, linear),
        whole=_bytes(counts.whole, linear) + _bytes(counts.plain, Fraction(floats)),
        embedding=_bytes(counts.embedding, Fraction(floats)),
        head=_bytes(counts.head, Fraction(floats)),
        towers=_bytes(counts.towers, Fraction(floats)),
    )
    return ModelWeights(parts, "config", counts.total, floats)


def _bytes(weights: int, bits: Fraction) -> int:
    return -(-weights * bits.numerator // (8 * bits.denominator))


def weight_bits(quantized: Quantized | None, floats: int) -> Fraction:
    """Of one quantized weight, its share of scales included."""
    if quantized is None:
        return Fraction(floats)
    known = QUANTIZATIONS.get(quantized.method)
    bits = quantized.bits or (known.bits if known is not None else floats)
    if quantized.block is not None:
        return Fraction(bits) + Fraction(BLOCK_SCALE_BITS, quantized.block**2)
    if quantized.group is None or known is None or known.bits > bits:
        return Fraction(bits) if bits > 4 or known is None else known.bits_per_weight()
    return Fraction(bits) + Fraction(known.scale_bits, quantized.group)
