"""config.json of models that people run, as far as memory depends on it, and what was measured or published of them."""

from __future__ import annotations

import json
from typing import Any

from deployer.formats.model_config import parse_model_config
from deployer.values.model_shape import ModelShape

LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256,
         "max_position_embeddings": 131072, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
         "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192}}  # fmt: skip
QWEN = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_size": 3584, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "intermediate_size": 18944, "vocab_size": 152064,
        "max_position_embeddings": 32768, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
        "use_sliding_window": False, "sliding_window": 131072, "max_window_layers": 28}  # fmt: skip
QWEN3 = {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "head_dim": 128, "num_key_value_heads": 8,
         "vocab_size": 151936, "max_position_embeddings": 40960, "torch_dtype": "bfloat16",
         "use_sliding_window": False, "sliding_window": None}  # fmt: skip
DEEPSEEK = {"model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"], "hidden_size": 7168,
            "num_hidden_layers": 61, "num_attention_heads": 128, "num_key_value_heads": 128, "vocab_size": 129280,
            "intermediate_size": 18432, "moe_intermediate_size": 2048, "n_routed_experts": 256, "n_shared_experts": 1,
            "num_experts_per_tok": 8, "first_k_dense_replace": 3, "moe_layer_freq": 1, "kv_lora_rank": 512,
            "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
            "max_position_embeddings": 163840, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
            "num_nextn_predict_layers": 1, "auto_map": {"AutoConfig": "configuration_deepseek.DeepseekV3Config"},
            "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]},
            "rope_scaling": {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096}}  # fmt: skip
GPT_OSS = {"model_type": "gpt_oss", "architectures": ["GptOssForCausalLM"], "hidden_size": 2880, "head_dim": 64,
           "num_attention_heads": 64, "num_key_value_heads": 8, "intermediate_size": 2880, "vocab_size": 201088,
           "num_experts_per_tok": 4, "sliding_window": 128, "max_position_embeddings": 131072,
           "tie_word_embeddings": False, "quantization_config": {"quant_method": "mxfp4"},
           "rope_scaling": {"rope_type": "yarn", "factor": 32.0, "original_max_position_embeddings": 4096}}  # fmt: skip


def dense(base: dict[str, Any], layers: int, hidden: int, heads: int, wide: int, **more: Any) -> dict[str, Any]:
    sizes = {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": wide,
    }
    return {**base, **sizes, **more}


def gpt_oss(layers: int, experts: int) -> dict[str, Any]:
    kinds = ["sliding_attention" if index % 2 == 0 else "full_attention" for index in range(layers)]
    return {**GPT_OSS, "num_hidden_layers": layers, "num_local_experts": experts, "layer_types": kinds}


def moe(layers: int, hidden: int, heads: int, wide: int) -> dict[str, Any]:
    made = dense(QWEN3, layers, hidden, heads, 3 * hidden, num_key_value_heads=4, tie_word_embeddings=False)
    sparse = {"model_type": "qwen3_moe", "num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": wide}
    return made | sparse | {"decoder_sparse_step": 1, "mlp_only_layers": [], "norm_topk_prob": True}


CONFIGS: dict[str, dict[str, Any]] = {
    "Qwen2.5-0.5B": dense(QWEN, 24, 896, 14, 4864, num_key_value_heads=2, vocab_size=151936, tie_word_embeddings=True),
    "Qwen2.5-1.5B": dense(QWEN, 28, 1536, 12, 8960, num_key_value_heads=2, vocab_size=151936, tie_word_embeddings=True),
    "Qwen2.5-7B": QWEN,
    "Qwen2.5-14B": dense(QWEN, 48, 5120, 40, 13824, num_key_value_heads=8),
    "Qwen2.5-32B": dense(QWEN, 64, 5120, 40, 27648, num_key_value_heads=8),
    "Qwen2.5-72B": dense(QWEN, 80, 8192, 64, 29568, num_key_value_heads=8),
    "Qwen3-4B": dense(QWEN3, 36, 2560, 32, 9728, tie_word_embeddings=True),
    "Qwen3-8B": dense(QWEN3, 36, 4096, 32, 12288, tie_word_embeddings=False),
    "Qwen3-14B": dense(QWEN3, 40, 5120, 40, 17408, tie_word_embeddings=False),
    "Qwen3-32B": dense(QWEN3, 64, 5120, 64, 25600, tie_word_embeddings=False),
    "Qwen3-30B-A3B": moe(48, 2048, 32, 768),
    "Qwen3-235B-A22B": moe(94, 4096, 64, 1536),
    "Llama-3.1-8B": LLAMA,
    "Llama-3.1-70B": dense(LLAMA, 80, 8192, 64, 28672),
    "Llama-3.1-405B": dense(LLAMA, 126, 16384, 128, 53248),
    "Llama-3.2-1B": dense(LLAMA, 16, 2048, 32, 8192, head_dim=64, tie_word_embeddings=True),
    "Llama-3.2-3B": dense(LLAMA, 28, 3072, 24, 8192, head_dim=128, tie_word_embeddings=True),
    "Mistral-7B-v0.3": dense(LLAMA, 32, 4096, 32, 14336, model_type="mistral", vocab_size=32768, sliding_window=None,
                             rope_scaling=None, max_position_embeddings=32768),
    "Mixtral-8x7B": dense(LLAMA, 32, 4096, 32, 14336, model_type="mixtral", vocab_size=32000, num_local_experts=8,
                          num_experts_per_tok=2, sliding_window=None, rope_scaling=None),
    "Mistral-Small-24B": dense(LLAMA, 40, 5120, 32, 32768, model_type="mistral", head_dim=128, vocab_size=131072,
                               rope_scaling=None, max_position_embeddings=32768),
    "Phi-4": dense(LLAMA, 40, 5120, 40, 17920, model_type="phi3", vocab_size=100352, num_key_value_heads=10,
                   rope_scaling=None, max_position_embeddings=16384, sliding_window=None),
    "gemma-3-1b": {"model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"], "num_hidden_layers": 26,
                   "hidden_size": 1152, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256,
                   "intermediate_size": 6912, "vocab_size": 262144, "sliding_window": 512, "sliding_window_pattern": 6,
                   "max_position_embeddings": 32768, "torch_dtype": "bfloat16"},
    "Yi-34B": dense(LLAMA, 60, 7168, 56, 20480, vocab_size=64000, rope_scaling=None, max_position_embeddings=4096),
    "gpt-oss-20b": gpt_oss(24, 32),
    "gpt-oss-120b": gpt_oss(36, 128),
    "DeepSeek-V3": DEEPSEEK,
    "DeepSeek-V2-Lite": dense(DEEPSEEK, 27, 2048, 16, 10944, model_type="deepseek_v2", vocab_size=102400,
                              num_key_value_heads=16, moe_intermediate_size=1408, n_routed_experts=64,
                              n_shared_experts=2, first_k_dense_replace=1, q_lora_rank=None, quantization_config=None),
}  # fmt: skip


def shape(name: str, **changes: Any) -> ModelShape:
    return parse_model_config(json.dumps({**CONFIGS[name], **changes}).encode())
