"""What a server needs on a GPU beside weights and cache: for a forward pass, CUDA graphs, contexts, adapters.

Sources: start-up logs of vLLM ("model weights take ...; non_torch_memory takes ...; PyTorch activation peak memory
takes ...", "Graph capturing finished in ..., took ...") and of llama.cpp ("compute buffer size"); vLLM profiles a
forward pass of the largest batch (vllm/v1/worker/gpu_model_runner.py `profile_run`).
"""

from __future__ import annotations

from fractions import Fraction

from deployer.backends.base import Batch, Memory
from deployer.planning.estimate_request import GIB, Serving
from deployer.values.model_shape import ModelShape

MIB = 1 << 20
LEAST_ACTIVATION = 14 * GIB // 10  # of text models with vLLM's own batch: logs show 1.26 to 1.42 GiB
TOWER_ACTIVATION = GIB  # of the largest picture that a request may have, by default
MANY_SEQUENCES = 512
USUAL_VOCABULARY = 128_000  # where only the beginning of a GGUF file was read
GRAPH_CONTEXT = 273 * MIB  # llama.cpp's process on one GPU
CONTEXT = GIB // 2  # CUDA's context and kernels of a PyTorch server
LINKED = {1: 0, 2: GIB, 8: 2 * GIB}  # NCCL and its buffers, by how many GPUs work together


def activation_bytes(shape: ModelShape, serving: Serving, memory: Memory, batch: Batch, context: int) -> int:
    """What a forward pass of the largest batch needs while it runs."""
    if memory.works == "graph":
        tokens = context * serving.sequences
        return batch.tokens * (4 * (shape.vocabulary or USUAL_VOCABULARY) + 2 * tokens + 16 * shape.hidden)
    if memory.works == "texts" or shape.encoder:
        return batch.tokens * (7 * _widest(shape) // 2 + 2 * shape.hidden) * 2
    split = serving.spread.tensor
    layers = batch.tokens * (5 * _widest(shape) // (2 * split) + 2 * shape.hidden) * 2
    chosen = batch.sequences * shape.vocabulary * 6  # logits, and their copies while a token is chosen
    usual = serving.batch_tokens is None and serving.max_sequences is None
    seen = TOWER_ACTIVATION if shape.towers else 0
    return seen + (max(layers + chosen, LEAST_ACTIVATION) if usual else layers + chosen)


def _widest(shape: ModelShape) -> int:
    """What one token passes through at once: of experts, all that it uses."""
    if shape.experts is None:
        return shape.intermediate
    return max(shape.intermediate, shape.experts.used * shape.experts.intermediate + shape.experts.shared)


def graph_bytes(shape: ModelShape, serving: Serving, memory: Memory, batch: Batch) -> int:
    """CUDA graphs: logs show 0.1 to 2 GiB, most where GPUs work together or many sequences do."""
    if not memory.captures_graphs or shape.encoder:
        return 0
    return GIB if serving.spread.tensor > 1 or batch.sequences >= MANY_SEQUENCES else GIB // 2


def overhead_bytes(serving: Serving, memory: Memory) -> int:
    """What is there before a weight is: contexts, and what GPUs that work together talk through."""
    if memory.works == "graph":
        return GRAPH_CONTEXT
    return CONTEXT + LINKED[max(count for count in LINKED if count <= serving.gpus)]


def lora_bytes(shape: ModelShape, serving: Serving) -> int:
    """Room for adapters on all linear layers, of 16 bits: a weight for each row and column of them and rank."""
    wide = shape.heads * shape.head_width
    narrow = shape.kv_heads * shape.head_width
    ends = (
        (shape.hidden, wide), (shape.hidden, narrow), (shape.hidden, narrow), (wide, shape.hidden),
        *((shape.hidden, shape.intermediate),) * (3 if shape.gated else 2),
    )  # fmt: skip
    each = sum(Fraction(one + other, 2) + Fraction(one + other, 2) / serving.spread.tensor for one, other in ends)
    layers = serving.spread.layers(shape.layers)
    return int(serving.loras * serving.lora_rank * layers * each * 2)
