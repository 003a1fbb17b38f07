"""Weights of a model summed up from the tensors that its files name, by how a server spreads them.

Names are those of transformers' checkpoints and of llama.cpp's gguf-py/gguf/tensor_mapping.py. Which of them vLLM keeps
whole on each GPU: `ReplicatedLinear` and norms of vllm/model_executor/models.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable

from deployer.values.model_shape import ModelShape
from deployer.values.model_weights import ModelWeights, Tensor, WeightParts

LAYER = re.compile(r"(?:\A|\.)(?:layers|layer|h|blk|blocks|block)\.(\d{1,6})\.")
TOWER = re.compile(
    r"\A(?:model\.)?(?:visual|vision|audio|multi_modal|mm_projector|embed_vision|embed_audio|img_|v\.|mm\.)"
)
EMBEDDING = re.compile(r"(?:embed_tokens|wte|word_embeddings|tok_embeddings|embed_in|token_embd)\.(?:weight|qweight)\Z")
HEAD = re.compile(r"\A(?:model\.|language_model\.)*(?:lm_head|embed_out|output|output_layer)\.(?:weight|qweight)\Z")
KEYS_VALUES = re.compile(r"\.(?:k_proj|v_proj|wk|wv|attn_k|attn_v|key|value)\.")
WHOLE = re.compile(
    r"norm|\.gate\.weight\Z|kv_a_proj|q_a_proj|attn_kv_a|attn_q_a|ffn_gate_inp|router|correction_bias|\.bias\Z"
)
DRAFTS = re.compile(r"\A(?:model\.)?mtp\.|\.nextn\.")  # heads that guess tokens ahead: not loaded unless asked for
NO_WEIGHTS = re.compile(r"scale|zero|qzeros|g_idx|absmax|quant_map|quant_state|weight_shape|inv_freq")
FLOATS = {"F32": 32, "F64": 64, "F16": 16, "BF16": 16}


def named_weights(tensors: Iterable[Tensor], shape: ModelShape | None) -> ModelWeights:
    """`shape` tells which layers are heads for drafts, and how many weights a packed number holds."""
    sums: Counter[str] = Counter()
    floats: Counter[int] = Counter()
    parameters = 0
    for tensor in tensors:
        part = _part(tensor, shape)
        if part is not None:
            sums[part] += tensor.size
            parameters += _weights(tensor, shape)
            floats[FLOATS.get(tensor.dtype, 0)] += tensor.size
    usual = max((bits for bits in floats if bits), key=lambda bits: floats[bits], default=16)
    return ModelWeights(WeightParts(**sums), "tensors", parameters, 16 if floats[0] else usual)


def _part(tensor: Tensor, shape: ModelShape | None) -> str | None:
    """The field of WeightParts that it belongs to; None: it is not loaded."""
    name = tensor.name
    if TOWER.search(name):
        return "towers"
    if DRAFTS.search(name):
        return None
    if EMBEDDING.search(name):
        return "embedding"
    if HEAD.search(name):
        return None if shape is not None and shape.tied else "head"
    layer = LAYER.search(name)
    if layer is not None and shape is not None and int(layer[1]) >= shape.layers:
        return None
    if len(tensor.shape) < 2 or WHOLE.search(name):
        return "whole"
    return "kv" if KEYS_VALUES.search(name) else "linear"


def _weights(tensor: Tensor, shape: ModelShape | None) -> int:
    """Weights that the tensor holds: none where it scales others, several a number where they are packed."""
    if NO_WEIGHTS.search(tensor.name):
        return 0
    packed = {"I32": 32, "U8": 8}.get(tensor.dtype)
    bits = shape.quantized.bits if shape is not None and shape.quantized is not None else None
    many = packed // bits if packed is not None and bits is not None and bits <= packed else 1
    return math.prod(tensor.shape) * many


def scaled_to(weights: ModelWeights, total: int) -> ModelWeights:
    """The same parts, of files that are that large together."""
    parts = weights.parts
    known = max(parts.total, 1)
    names = ("linear", "kv", "whole", "embedding", "head", "towers")
    scaled = {name: -(-getattr(parts, name) * total // known) for name in names}
    return ModelWeights(WeightParts(**scaled), "files", weights.parameters, weights.float_bits)
