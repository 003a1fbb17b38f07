"""Hugging Face's Text Generation Inference: safetensors models on GPUs. Upstream ended its maintenance in January 2026.

Flags were taken from launcher/src/main.rs at the tags that `flags/tgi.txt` names, paths and answers from router/src at
3.3.7. What answers while it loads is not verified: nothing, by the launcher, which starts the router after its shards.
"""

from deployer.backends.base import Api, Backend, Batch, Flag, Images, InTemplate, Memory, Refused, Switch
from deployer.backends.flag_tables import FlagTable

QUANTIZATIONS = (
    "awq", "bitsandbytes", "bitsandbytes-fp4", "bitsandbytes-nf4", "compressed-tensors", "eetq", "exl2", "fp8", "gptq",
    "marlin",
)  # fmt: skip
NO_SHARDS = "it only splits a model over GPUs by tensors; use `tensor_parallel`"
BY_ITSELF = "it finds tool calls by itself; leave it out"
DRAFTS = "it drafts by n-grams or by a model's own heads, with `args: [--speculate, N]`"

SHARE_ONLY = "`--cuda-memory-fraction` is a share of the GPU"

BACKEND = Backend(
    name="tgi",
    title="Text Generation Inference",
    aliases=("text-generation-inference",),
    images=Images(repository="ghcr.io/huggingface/text-generation-inference", gpu="{number}"),
    version="3.3.7",
    port=80,
    api=Api(health="/health", embeddings=None),
    template="tgi.yaml.j2",
    options={
        "context_length": Flag("--max-total-tokens"),
        "tensor_parallel": InTemplate(flags=("--num-shard",)),  # absent: all GPUs of the replica
        "pipeline_parallel": Refused(NO_SHARDS, (1,)),
        "data_parallel": Refused("it has one engine a server; use `replicas`", (1,)),
        "expert_parallel": Refused(NO_SHARDS, (False, 1)),
        "gpu_memory_fraction": Flag("--cuda-memory-fraction"),
        "gpu_memory": InTemplate(),  # as the fraction it is of the GPU's memory
        "dtype": Flag(
            "--dtype", values={"auto": None, "half": "float16", "float16": "float16", "bfloat16": "bfloat16"}
        ),
        "quantization": Flag("--quantize", values={kind: kind for kind in QUANTIZATIONS}),
        "kv_cache_dtype": Flag(
            "--kv-cache-dtype",
            values={
                "auto": None,
                "fp8": "fp8_e4m3fn",
                "fp8_e4m3": "fp8_e4m3fn",
                "fp8_e4m3fn": "fp8_e4m3fn",
                "fp8_e5m2": "fp8_e5m2",
            },
        ),
        "max_concurrency": Flag("--max-concurrent-requests"),
        "max_batch_tokens": Flag("--max-batch-prefill-tokens"),
        "prefix_cache": InTemplate(),
        "cpu_offload": Refused("it keeps the whole model on the GPUs", ("none",)),
        "chat_template": Refused("it takes a whole `tokenizer_config.json`, by `args: [--tokenizer-config-path]`"),
        "reasoning_parser": Refused("it tells no thoughts from answers", ("none",)),
        "tool_parser": Refused(BY_ITSELF),
        "lora": InTemplate(needs=("--lora-adapters",)),
        "speculative": Refused(DRAFTS),
        "trust_remote_code": Switch("--trust-remote-code"),
        # It takes API_KEY from the environment, and then hands it to the router in the arguments.
        "api_key": Refused("its launcher shows the key to every user of the host, in the arguments of its router"),
    },
    formats=("safetensors",),
    categories=("llm",),
    gpu="required",
    ready_timeout=1800.0,
    names="path",
    notice="nobody maintains Text Generation Inference any more; upstream points to `vllm` and `sglang`",
    shm_size=1024**3,  # what upstream's examples give it
    stop_grace=90.0,  # its own `--graceful-termination-timeout`
    env={"HF_HUB_OFFLINE": "1", "USAGE_STATS": "off"},
    flags=FlagTable(
        "tgi",
        {
            "--disable-crash-reports": "`--usage-stats off`",
            "--disable-usage-stats": "`--usage-stats off`",
            "--enable-cuda-graphs": "`--cuda-graphs`",
        },
    ),
    knows_all_flags=True,
    help=(("--help",),),
    # 3.3.7: launcher/src/main.rs, `cuda_memory_fraction` and `max_batch_prefill_tokens`.
    memory=Memory(
        "total", 1.0, block=1, batches=(Batch(0, 4096, 128),), captures_graphs=True, no_cache_size=SHARE_ONLY
    ),
    source="Text Generation Inference 1.0.3 to 3.3.7: launcher/src/main.rs, router/src, Dockerfile, README.md",
)
