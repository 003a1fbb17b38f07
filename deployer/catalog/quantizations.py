"""How many bits a weight or a cached element takes, and which GPUs can use it.

Sources: vLLM 0.33, vllm/model_executor/layers/quantization (`get_min_capability`) and vllm/config/cache.py; block sizes
of llama.cpp's gguf-py/gguf/constants.py; the papers of GPTQ, AWQ and QLoRA for what a group adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from deployer.dataclass import dataclass

Capability = tuple[int, int]
DTYPE_BITS: Mapping[str, int] = {"float32": 32, "float16": 16, "bfloat16": 16, "half": 16, "float": 32, "fp16": 16,
                                 "bf16": 16, "fp32": 32}  # fmt: skip
BFLOAT16_FROM: Capability = (8, 0)
FP8_CACHE_FROM: Capability = (8, 9)

# Bits of an element of keys and values. Blocks of llama.cpp's types carry a scale of 16 bits for 32 elements.
CACHE_BITS: Mapping[str, Fraction] = {
    name: Fraction(bits).limit_denominator(64)
    for name, bits in {
        "float32": 32, "f32": 32, "fp32": 32, "float16": 16, "f16": 16, "fp16": 16, "half": 16, "bfloat16": 16,
        "bf16": 16, "fp8": 8, "fp8_e4m3": 8, "fp8_e5m2": 8, "fp8_e4m3fn": 8, "fp8_inc": 8, "int8": 8, "mxfp8": 8.25,
        "q8_0": 8.5, "q5_0": 5.5, "q5_1": 6.0, "q4_0": 4.5, "q4_1": 5.0, "iq4_nl": 4.5, "int4": 4, "nvfp4": 4.5,
        "fp4_e2m1": 4.25,
    }.items()
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quantization:
    """`bits` of a weight, `scale_bits` of what each group of weights carries besides; `group` is the usual one, None:
    scales are so few that they do not count. `least`: the oldest GPUs that can use it; `fast`: those that compute in
    it, older ones only store it so. `by_server`: made of plain weights while they are loaded."""

    bits: int
    scale_bits: int = 0
    group: int | None = None
    least: Capability = (7, 0)
    fast: Capability | None = None
    by_server: bool = False

    def bits_per_weight(self, group: int | None = None) -> Fraction:
        group = group or self.group
        return Fraction(self.bits) + (Fraction(self.scale_bits, group) if group else 0)


QUANTIZATIONS: Mapping[str, Quantization] = {
    "fp8": Quantization(8, least=(7, 5), fast=(8, 9), by_server=True),
    "fbgemm_fp8": Quantization(8, least=(8, 0), fast=(8, 9)),
    "mxfp8": Quantization(8, 8, 32, least=(10, 0)),
    "awq": Quantization(4, 20, 128, least=(7, 5)),
    "awq_marlin": Quantization(4, 20, 128, least=(7, 5)),
    "gptq": Quantization(4, 20, 128, least=(6, 0)),
    "gptq_marlin": Quantization(4, 20, 128, least=(7, 5)),
    "compressed-tensors": Quantization(4, 16, 128, least=(7, 0)),
    "int8": Quantization(8, least=(7, 5)),
    "w8a8_int8": Quantization(8, least=(7, 5)),
    "bitsandbytes": Quantization(4, 32, 64, least=(7, 0), by_server=True),
    "mxfp4": Quantization(4, 8, 32, least=(8, 0), fast=(10, 0)),
    "nvfp4": Quantization(4, 8, 16, least=(7, 5), fast=(10, 0)),
    "modelopt_fp4": Quantization(4, 8, 16, least=(7, 5), fast=(10, 0)),
    "modelopt": Quantization(8, least=(8, 9)),
}
