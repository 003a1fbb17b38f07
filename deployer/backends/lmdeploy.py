"""LMDeploy's `api_server`: safetensors models on GPUs, by its TurboMind or its PyTorch engine.

Flags were taken from the wheels that `flags/lmdeploy.txt` names, paths and answers from the wheel 0.16.0. Tags are
those that upstream's workflow makes, with the CUDA version behind; at 0.9 that was `-cu12`. Before 0.16 it always ran
the code of a model. It has the path of embeddings, but answers that they are unsupported.
"""

from deployer.backends.base import Api, Backend, Batch, Flag, Images, InTemplate, Memory, Refused, Switch
from deployer.backends.flag_tables import FlagTable

CACHE = "/var/cache/lmdeploy"
KV_TYPES = {"auto": None, "fp16": None, "int4": "4", "int8": "8", "fp8": "16", "fp8_e4m3": "16", "fp8_e5m2": "17"}
SHARE_ONLY = "`--cache-max-entry-count` is a share of what is free"
PER_PROCESS = "it needs a process for each and a proxy before them; use `replicas`"

BACKEND = Backend(
    name="lmdeploy",
    title="LMDeploy",
    images=Images(repository="openmmlab/lmdeploy", gpu="v{number}-cu12.8"),
    version="v0.16.0",
    port=23333,
    api=Api(health="/health", embeddings=None),
    template="lmdeploy.yaml.j2",
    options={
        "context_length": Flag("--session-len"),
        "tensor_parallel": InTemplate(flags=("--tp",)),  # absent: all GPUs of the replica
        "pipeline_parallel": Refused("it only splits a model over GPUs by tensors; use `tensor_parallel`", (1,)),
        "data_parallel": Refused(PER_PROCESS, (1,)),
        "expert_parallel": InTemplate(needs=("--ep",)),  # true: over the tensor-parallel group
        "gpu_memory_fraction": Flag("--cache-max-entry-count"),  # of what the weights leave, for the KV cache alone
        "gpu_memory": Refused("it takes a share of what the weights leave; use `gpu_memory_fraction`"),
        "dtype": Flag(
            "--dtype", values={"auto": "auto", "half": "float16", "float16": "float16", "bfloat16": "bfloat16"}
        ),
        "quantization": Flag(
            "--model-format", values={k: k for k in ("awq", "gptq", "compressed-tensors", "fp8", "mxfp4")}
        ),
        "kv_cache_dtype": Flag("--quant-policy", values=KV_TYPES),
        "max_concurrency": Flag("--max-batch-size"),
        "max_batch_tokens": Flag("--max-prefill-token-num"),
        "prefix_cache": Switch("--enable-prefix-caching"),
        "cpu_offload": Refused("it keeps the whole model on the GPUs", ("none",)),
        "chat_template": InTemplate(),  # a JSON file of its own form, or a name
        "reasoning_parser": Flag("--reasoning-parser"),
        "tool_parser": Flag("--tool-call-parser"),
        "lora": InTemplate(excludes=("--adapters",)),
        "speculative": Refused("its drafts are trained for a model; give the `--speculative-...` flags in `args`"),
        "trust_remote_code": Switch("--trust-remote-code"),
        "api_key": Refused("it reads keys from its arguments only, which every user of the host can see"),
    },
    formats=("safetensors",),
    categories=("llm",),
    gpu="required",
    ready_timeout=1800.0,
    names="one",
    shm_size_multi_gpu=16 * 1024**3,
    caches={"lmdeploy": CACHE},
    env={"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TRITON_CACHE_DIR": f"{CACHE}/triton"},
    flags=FlagTable(
        "lmdeploy", {"--disable-vision-encoder": "`--language-model-only`", "--enable-metrics": "nothing: they are on"}
    ),
    knows_all_flags=True,
    takes_beginnings=True,
    help=(("lmdeploy", "serve", "api_server", "--help"),),
    # 0.16: lmdeploy/messages.py, `cache_max_entry_count` and `max_prefill_token_num`.
    memory=Memory(
        "after-weights", 0.8, block=64, batches=(Batch(0, 8192, 256),), quantizes=False, no_cache_size=SHARE_ONLY
    ),
    source="LMDeploy wheels 0.7.3 to 0.18.0 (lmdeploy.cli, lmdeploy.serve.openai); docker/ and its workflow",
)
