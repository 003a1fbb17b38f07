"""Infinity: embedding models and rerankers, on GPUs and CPUs.

Flags were taken from infinity_emb's command line at the tags that `flags/infinity.txt` names, paths and variables from
the wheel 0.0.77. Its lists of options take one value a model, so that what `args` repeats is one too many: defaults go
by the environment, where `env` replaces them. Seen with the wheel 0.0.77 on a CPU: nothing listens until the model is
warm, `/health` wants no key, all else does, and it ends within a second of SIGTERM.
"""

from deployer.backends.base import Api, Backend, Batch, Flag, Images, InTemplate, Memory, Refused, SecretEnv
from deployer.backends.flag_tables import FlagTable

COPIES = "every GPU of a replica has the whole model; say how many with `placement.gpus`"
NOTHING_SAID = "it generates no text"
AS_NEEDED = "it takes what the model and its batches need; lower `max_concurrency`"
DTYPES = ("auto", "float32", "float16", "bfloat16", "int8", "fp8")

BACKEND = Backend(
    name="infinity",
    title="Infinity",
    aliases=("infinity-emb", "infinity_emb"),
    images=Images(repository="michaelf34/infinity", gpu="{number}", cpu="{number}-cpu"),
    version="0.0.77",
    port=7997,
    api=Api(health="/health", chat=None, completions=None, rerank="/v1/rerank"),
    template="infinity.yaml.j2",
    options={
        "context_length": Refused("the model decides it"),
        "tensor_parallel": Refused(COPIES, (1,)),
        "pipeline_parallel": Refused(COPIES, (1,)),
        "data_parallel": Refused(COPIES, (1,)),
        "expert_parallel": Refused(COPIES, (False, 1)),
        "gpu_memory_fraction": Refused(AS_NEEDED),
        "gpu_memory": Refused(AS_NEEDED),
        "dtype": Flag("--dtype", values={"half": "float16", "float": "float32"} | {kind: kind for kind in DTYPES}),
        "quantization": Refused("it quantizes while it loads, with `dtype: int8` or `dtype: fp8`"),
        "kv_cache_dtype": Refused("an encoder has no such cache", ("auto",)),
        "max_concurrency": Flag("--batch-size"),
        "max_batch_tokens": Refused("it counts texts, not tokens; use `max_concurrency`"),
        "prefix_cache": Refused("an encoder has no such cache", (False,)),
        "cpu_offload": Refused("the model is on the GPU or on the CPU as a whole", ("none",)),
        "chat_template": Refused(NOTHING_SAID),
        "reasoning_parser": Refused(NOTHING_SAID),
        "tool_parser": Refused(NOTHING_SAID),
        "lora": Refused("it has no adapters; merge them into the model"),
        "speculative": Refused(NOTHING_SAID),
        "trust_remote_code": InTemplate(),  # its default is to trust
        "api_key": SecretEnv("INFINITY_API_KEY"),
    },
    formats=("safetensors",),
    categories=("embedding", "reranker"),
    gpu="optional",
    ready_timeout=300.0,
    names="one",
    env={
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "INFINITY_ENGINE": "torch",  # the default of the image for CPUs wants ONNX files
    },
    flags=FlagTable("infinity"),
    knows_all_flags=True,
    help=(("v2", "--help"),),
    # 32 texts at once (`--batch-size`), each as long as models for vectors take them
    memory=Memory("needed", split="none", works="texts", batches=(Batch(0, 32 * 512, 32),)),
    source="Infinity 0.0.50 to 0.0.78: libs/infinity_emb (cli.py, env.py, infinity_server.py, Dockerfile.*_auto)",
)
