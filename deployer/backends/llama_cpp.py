"""llama.cpp's `llama-server`: GGUF models, on CPUs and GPUs."""

from deployer.backends.base import (
    Api,
    Backend,
    Batch,
    Flag,
    FlagRange,
    Images,
    InTemplate,
    Memory,
    Refused,
    SecretEnv,
    Switch,
)
from deployer.backends.flag_tables import FlagTable

FROM_FILE = "the GGUF file decides it; take another file"
KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
DRAFT = "`--spec-draft-n-max` or `--spec-ngram-mod-n-max`"

BACKEND = Backend(
    name="llama.cpp",
    aliases=("llama-server", "llamacpp", "llama-cpp", "llama_cpp"),
    replaced={"llama-box": "llama-box is no longer developed; its authors point to llama.cpp, which serves instead"},
    title="llama.cpp server",
    images=Images(
        repository="ghcr.io/ggml-org/llama.cpp",
        gpu="server-cuda-b{number}",
        cpu="server-b{number}",
        gpu_unversioned="server-cuda",
        cpu_unversioned="server",
    ),
    # Upstream publishes several builds a day and no releases: there is no build to prefer, so the default is the
    # moving tag; what a host runs stays until the spec changes.
    version=None,
    port=8080,
    api=Api(health="/health", rerank="/v1/rerank"),
    template="llama.cpp.yaml.j2",
    options={
        # One slot's share of `-c` is what a request may have, so the template multiplies by the number of slots.
        "context_length": InTemplate(flags=("-c", "--ctx-size"), shared_by="max_concurrency"),
        "tensor_parallel": InTemplate(),
        "pipeline_parallel": Refused("it splits layers over a replica's GPUs by itself; use `tensor_parallel`", (1,)),
        "data_parallel": Refused("it has one engine a server; use `replicas`", (1,)),
        "expert_parallel": Refused("it has no such thing; `args: [--cpu-moe]` keeps experts on the CPU", (False, 1)),
        "gpu_memory_fraction": Refused("it takes what weights and context need; lower `context_length`"),
        "gpu_memory": Refused("it takes what weights and context need; lower `context_length`"),
        "dtype": Refused(FROM_FILE, ("auto",)),
        "quantization": Refused(FROM_FILE),
        "kv_cache_dtype": Flag(
            "-ctk",
            ("-ctv",),
            {"auto": None, "fp16": "f16"} | {kind: kind for kind in KV_TYPES},
            aliases=("--cache-type-k", "--cache-type-v"),
        ),
        "max_concurrency": Flag("-np", aliases=("--parallel",)),
        "max_batch_tokens": Flag("-b", aliases=("--batch-size",)),
        "prefix_cache": Switch(on=None, off="--no-cache-prompt"),
        "cpu_offload": InTemplate(
            values={"auto": "auto", "none": "999"}, flags=("-ngl", "--gpu-layers", "--n-gpu-layers")
        ),
        "chat_template": InTemplate(),
        "reasoning_parser": Flag(
            "--reasoning-format",
            values={
                "auto": "auto",
                "none": "none",
                "deepseek": "deepseek",
                "deepseek_r1": "deepseek",
                "deepseek-legacy": "deepseek-legacy",
            },
        ),
        "tool_parser": Refused("it reads tool calls by the model's own chat template; leave it out"),
        "lora": InTemplate(),
        "speculative": InTemplate(),
        "trust_remote_code": Refused("a GGUF file holds no code", (False,)),
        "api_key": SecretEnv("LLAMA_API_KEY", file_flag="--api-key-file"),
    },
    formats=("gguf",),
    chosen_for={"gguf": ("llm", "embedding", "reranker")},
    categories=("llm", "embedding", "reranker"),
    gpu="optional",
    ready_timeout=900.0,
    env={"LLAMA_ARG_OFFLINE": "1"},
    flags=FlagTable(
        "llama.cpp",
        more={
            # The builds that dropped them are not known; build 11434 says "the argument has been removed".
            "--draft": FlagRange(gone="11434", instead=DRAFT),
            "--draft-n": FlagRange(gone="11434", instead=DRAFT),
            "--draft-max": FlagRange(gone="11434", instead=DRAFT),
            "--draft-min": FlagRange(gone="11434", instead="`--spec-draft-n-min` or `--spec-ngram-mod-n-min`"),
            "--draft-n-min": FlagRange(gone="11434", instead="`--spec-draft-n-min` or `--spec-ngram-mod-n-min`"),
        },
    ),
    help=(("--help",),),
    memory=Memory(
        "needed",
        split="layers",
        works="graph",
        windows=None,
        block=256,
        batches=(Batch(0, 512, 1),),
        embeds_on_host=True,
    ),
    capability=(5, 0),
    source="llama.cpp common/arg.cpp, tools/server/README.md and .devops/*.Dockerfile; `llama-server --help` of b11434",
)
