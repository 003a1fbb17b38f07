"""Hugging Face's Text Embeddings Inference: embedding models and rerankers, on one GPU or on CPUs.

Flags were taken from router/src/main.rs at the tags that `flags/tei.txt` names, paths and answers from router/src/http
at 1.9.3. It answers OpenAI's embeddings, but reranks in a way of its own: at `/rerank`, with `texts` for `documents`.
"""

from deployer.backends.base import Api, Backend, Batch, Flag, Images, Memory, Refused, SecretEnv
from deployer.backends.flag_tables import FlagTable

ONE_GPU = "a server has one GPU; use `replicas`"
NOTHING_SAID = "it generates no text"
FROM_MODEL = "the model decides it; `args: [--auto-truncate, ...]` says what becomes of longer texts"

BACKEND = Backend(
    name="tei",
    title="Text Embeddings Inference",
    aliases=("text-embeddings-inference", "text-embeddings-router"),
    # `cuda-` has the kernels of all compute capabilities from 7.5 and chooses; the others have those of one.
    images=Images(
        repository="ghcr.io/huggingface/text-embeddings-inference",
        gpu="cuda-{number}",
        cpu="cpu-{number}",
        others=tuple(f"{card}{{number}}" for card in ("turing-", "86-", "89-", "hopper-", "100-", "120-", "121-", "")),
    ),
    version="1.9.3",
    port=80,
    api=Api(health="/health", models=None, chat=None, completions=None, rerank="/rerank", documents="texts"),
    template="tei.yaml.j2",
    options={
        "context_length": Refused(FROM_MODEL),
        "tensor_parallel": Refused(ONE_GPU, (1,)),
        "pipeline_parallel": Refused(ONE_GPU, (1,)),
        "data_parallel": Refused(ONE_GPU, (1,)),
        "expert_parallel": Refused(ONE_GPU, (False, 1)),
        "gpu_memory_fraction": Refused("it takes what the model and `max_batch_tokens` need"),
        "gpu_memory": Refused("it takes what the model and `max_batch_tokens` need"),
        "dtype": Flag("--dtype", values={"auto": None, "half": "float16", "float16": "float16", "float32": "float32"}),
        "quantization": Refused("it loads models as they are"),
        "kv_cache_dtype": Refused("an encoder has no such cache", ("auto",)),
        "max_concurrency": Flag("--max-concurrent-requests"),
        "max_batch_tokens": Flag("--max-batch-tokens"),
        "prefix_cache": Refused("an encoder has no such cache", (False,)),
        "cpu_offload": Refused("the model is on the GPU or on the CPU as a whole", ("none",)),
        "chat_template": Refused(NOTHING_SAID),
        "reasoning_parser": Refused(NOTHING_SAID),
        "tool_parser": Refused(NOTHING_SAID),
        "lora": Refused("it has no adapters; merge them into the model"),
        "speculative": Refused(NOTHING_SAID),
        "trust_remote_code": Refused("it runs no code of models", (False,)),
        "api_key": SecretEnv("API_KEY"),
    },
    chosen_on_cpus={"safetensors": ("embedding", "reranker")},
    formats=("safetensors",),
    categories=("embedding", "reranker"),
    gpu="optional",
    ready_timeout=300.0,
    names="any",
    env={"HF_HUB_OFFLINE": "1"},
    flags=FlagTable("tei"),
    knows_all_flags=True,
    help=(("--help",),),
    # 1.9: router/src/main.rs, `max_batch_tokens`.
    memory=Memory("needed", split="none", works="texts", batches=(Batch(0, 16384, 512),)),
    capability=(7, 5),  # upstream: "Volta is not supported"
    source="Text Embeddings Inference 0.6.0 to 1.9.3: router/src, Dockerfile-cuda-all, .github/workflows/build.yaml",
)
