"""Files of models that hold headers and holes: as large as real ones, and no weights in them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from tests.support.models import CONFIGS

LLAMA_LAYER = {
    "self_attn.q_proj.weight": ("H", "H"), "self_attn.k_proj.weight": ("K", "H"), "self_attn.v_proj.weight": ("K", "H"),
    "self_attn.o_proj.weight": ("H", "H"), "mlp.gate_proj.weight": ("I", "H"), "mlp.up_proj.weight": ("I", "H"),
    "mlp.down_proj.weight": ("H", "I"), "input_layernorm.weight": ("H",), "post_attention_layernorm.weight": ("H",),
}  # fmt: skip


def llama_tensors(config: dict[str, Any]) -> dict[str, list[int]]:
    """Names and shapes, as transformers saves a Llama."""
    hidden = config["hidden_size"]
    head = config.get("head_dim") or hidden // config["num_attention_heads"]
    sides = {"H": hidden, "K": config["num_key_value_heads"] * head, "I": config["intermediate_size"]}
    found = {"model.embed_tokens.weight": [config["vocab_size"], hidden], "model.norm.weight": [hidden]}
    if not config["tie_word_embeddings"]:
        found["lm_head.weight"] = [config["vocab_size"], hidden]
    for layer in range(config["num_hidden_layers"]):
        found |= {f"model.layers.{layer}.{n}": [sides[s] for s in shape] for n, shape in LLAMA_LAYER.items()}
    return found


def safetensors_header(tensors: dict[str, list[int]], dtype: str = "BF16", bits: int = 16) -> tuple[bytes, int]:
    """The beginning of a file, and how long the file is."""
    said: dict[str, Any] = {}
    at = 0
    for name, shape in tensors.items():
        size = bits // 8
        for side in shape:
            size *= side
        said[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    header = json.dumps(said).encode()
    return struct.pack("<Q", len(header)) + header, 8 + len(header) + at


def write_with_hole(path: Path, beginning: bytes, size: int) -> None:
    with path.open("wb") as file:
        file.write(beginning)
        file.truncate(size)


def write_llama(folder: Path, name: str = "Llama-3.2-1B", files: int = 1, **changes: Any) -> Path:
    """A folder as the Hub has it, of a model of CONFIGS that is built as a Llama."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {**CONFIGS[name], **changes}
    (folder / "config.json").write_text(json.dumps(config))
    tensors = llama_tensors(config)
    if files == 1:
        write_with_hole(folder / "model.safetensors", *safetensors_header(tensors))
        return folder
    names = [f"model-{part:05d}-of-{files:05d}.safetensors" for part in range(1, files + 1)]
    for part, file in enumerate(names):
        mine = dict(list(tensors.items())[part::files])
        write_with_hole(folder / file, *safetensors_header(mine))
    where = {tensor: names[index % files] for index, tensor in enumerate(tensors)}
    index = {"metadata": {"total_size": 1}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def gguf_text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_header(metadata: dict[str, Any], tensors: dict[str, tuple[int, tuple[int, ...]]]) -> bytes:
    """`tensors`: name -> number of the type, sides."""
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(metadata))]
    for key, value in metadata.items():
        parts.append(gguf_text(key))
        if isinstance(value, str):
            parts.append(struct.pack("<I", 8) + gguf_text(value))
        elif isinstance(value, list):
            parts.append(struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(gguf_text, value)))
        else:
            parts.append(struct.pack("<II", 4, value))
    for name, (kind, sides) in tensors.items():
        parts.append(gguf_text(name) + struct.pack("<I", len(sides)) + struct.pack(f"<{len(sides)}Q", *sides))
        parts.append(struct.pack("<IQ", kind, 0))
    return b"".join(parts)
