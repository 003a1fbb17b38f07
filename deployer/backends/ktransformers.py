"""KTransformers: large mixtures of experts with most of the experts on the processors, by SGLang with its kt-kernel.

Flags were taken from the wheel sglang-kt 0.7.2. Upstream tells how to build an image, and names tags for one that could
not be looked at: so there is no default. In upstream's image Python lies where the environment `serve` is; any other
image has it in its usual place. The server of KTransformers 0.2 (`ktransformers.server.main`) is another one.
"""

from deployer.backends.base import Api, Backend, Flag, Images, InTemplate, Refused, SecretConfig, Switch
from deployer.backends.flag_tables import FlagTable

CACHE = "/var/cache/ktransformers"
USUAL = "/usr/local/cuda/bin:/usr/local/nvidia/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
EXPERTS = "say how many experts stay on the GPUs by `args: [--kt-num-gpu-experts, N]`"
KV_TYPES = ("auto", "bf16", "bfloat16", "fp8_e4m3", "fp8_e5m2")

BACKEND = Backend(
    name="ktransformers",
    title="KTransformers",
    aliases=("kt", "kt-kernel"),
    images=Images(
        repository=None,
        gpu=None,
        instead="build one from upstream's `docker/Dockerfile`, and name it with the service's `image`",
    ),
    version="0.7.2",
    port=30000,
    api=Api(health="/health_generate", embeddings=None),
    template="ktransformers.yaml.j2",
    options={
        "context_length": Flag("--context-length"),
        "tensor_parallel": InTemplate(
            flags=("--tp-size", "--tensor-parallel-size", "--tp")
        ),  # absent: all GPUs of the replica
        "pipeline_parallel": Refused("the layers stay together; use `tensor_parallel`", (1,)),
        "data_parallel": Refused("the processors hold one copy of the experts; use `replicas`", (1,)),
        "expert_parallel": Refused(EXPERTS, (False, 1)),
        "gpu_memory_fraction": Flag("--mem-fraction-static"),
        "gpu_memory": Refused("`--mem-fraction-static` bounds weights and KV cache, not what a request needs besides"),
        "dtype": Flag("--dtype"),
        "quantization": Refused("it is the method of the experts: `args: [--kt-method, ...]`"),
        "kv_cache_dtype": Flag("--kv-cache-dtype", values={"fp8": "fp8_e4m3"} | {kind: kind for kind in KV_TYPES}),
        "max_concurrency": Flag("--max-running-requests"),
        "max_batch_tokens": Flag("--chunked-prefill-size"),
        "prefix_cache": Switch(on=None, off="--disable-radix-cache"),
        "cpu_offload": Refused(EXPERTS),
        "chat_template": InTemplate(),
        "reasoning_parser": Flag("--reasoning-parser"),
        "tool_parser": Flag("--tool-call-parser"),
        "lora": Refused("its adapters have flags of their own: `--kt-lora-path` in `args`"),
        "speculative": Refused("no draft is known to work with experts on the processors"),
        "trust_remote_code": Switch("--trust-remote-code"),
        "api_key": SecretConfig("--config", "/etc/deployer/ktransformers.yaml", "api-key: {secret}\n"),
    },
    formats=("safetensors",),
    categories=("llm",),
    gpu="required",
    ready_timeout=3600.0,  # hundreds of gigabytes go through the processors
    names="one",
    needs_args=("--kt-method", "--kt-weight-path"),
    shm_size=32 * 1024**3,
    caches={"ktransformers": CACHE},
    env={
        "PATH": f"/opt/miniconda3/envs/serve/bin:{USUAL}",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "TRITON_CACHE_DIR": f"{CACHE}/triton",
        "TORCHINDUCTOR_CACHE_DIR": f"{CACHE}/torchinductor",
    },
    flags=FlagTable("ktransformers"),
    knows_all_flags=True,
    takes_beginnings=True,
    help=(("python3", "-m", "sglang.launch_server", "--help"),),
    source="sglang-kt 0.7.2 (sglang.srt.server_args); KTransformers 0.7.0: kt-kernel/README.md, docker/",
)
