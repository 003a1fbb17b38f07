"""SGLang's OpenAI-compatible server: safetensors models on GPUs.

Flags were taken from the wheels 0.4.6.post5 to 0.5.23 that `flags/sglang.txt` names, paths and health from the same.
`/health_generate` is in all of them and makes the model say a token; `/health` did not do so before 0.5, when it
answered 200 at once. Neither wants an API key. The image starts nothing by itself (inferred from upstream's commands).
"""

from deployer.backends.base import (
    Api,
    Backend,
    Batch,
    Flag,
    Images,
    InTemplate,
    Memory,
    Refused,
    SecretConfig,
    Switch,
    Wanted,
)
from deployer.backends.flag_tables import FlagTable

CACHE = "/var/cache/sglang"  # not `/root/.cache`: images have kernels of their own there
KV_TYPES = ("auto", "bf16", "bfloat16", "fp8_e4m3", "fp8_e5m2", "fp4_e2m1", "mxfp8", "nvfp4")
NSA = {flag: f"`{flag.replace('nsa', 'dsa')}`" for flag in ("--nsa-decode-backend", "--nsa-prefill-backend")}
INSTEAD = NSA | {
    "--collect-tokens-histogram": "`--enable-metrics`, which collects them",
    "--cuda-graph-bs": "`--cuda-graph-bs-decode`",
    "--cuda-graph-max-bs": "`--cuda-graph-max-bs-decode`",
    "--disable-piecewise-cuda-graph": "`--cuda-graph-backend-prefill disabled`",
    "--dsa-prefill-cp-mode": "`--cp-strategy`",
    "--enable-breakable-cuda-graph": "`--cuda-graph-backend-prefill breakable`",
    "--enable-deepep-moe": "`--moe-a2a-backend deepep`",
    "--enable-dsa-prefill-context-parallel": "`--enable-prefill-cp`",
    "--enable-ep-moe": "`--ep-size` with the value of `--tp-size`",
    "--enable-expert-distribution-metrics": "`--expert-balancedness-report-mode`",
    "--enable-flashinfer-cutlass-moe": "`--moe-runner-backend flashinfer_cutlass`",
    "--enable-flashinfer-mxfp4-moe": "`--moe-runner-backend flashinfer_mxfp4`",
    "--enable-flashinfer-trtllm-moe": "`--moe-runner-backend flashinfer_trtllm`",
    "--enable-gdn-replayssm-spec": "`--enable-linear-replayssm-spec`",
    "--enable-nsa-prefill-context-parallel": "`--enable-prefill-cp`",
    "--enable-prefill-context-parallel": "`--enable-prefill-cp`",
    "--enable-triton-kernel-moe": "`--moe-runner-backend triton_kernel`",
    "--enforce-piecewise-cuda-graph": "`--cuda-graph-backend-prefill tc_piecewise`",
    "--hybrid-kvcache-ratio": "`--swa-full-tokens-ratio`",
    "--mamba-scheduler-strategy": "`--mamba-radix-cache-strategy`",
    "--max-micro-batch-size": "`--pp-max-micro-batch-size`",
    "--nsa-prefill-cp-mode": "`--cp-strategy`",
    "--piecewise-cuda-graph-max-tokens": "`--cuda-graph-max-bs-prefill`",
    "--piecewise-cuda-graph-tokens": "`--cuda-graph-bs-prefill`",
    "--prefill-cp-mode": "`--cp-strategy`",
    "--speculative-dflash-draft-window-size": "`--speculative-draft-window-size`",
    "--stream-output": "`--incremental-streaming-output`",
}

BACKEND = Backend(
    name="sglang",
    title="SGLang",
    aliases=("sgl",),
    # CUDA 13 after 0.5.19; for older drivers `version: v0.5.19-cu129` is the last tag with CUDA 12.
    images=Images(repository="lmsysorg/sglang", gpu="v{number}"),
    version="v0.5.23",
    port=30000,
    api=Api(health="/health_generate", rerank="/v1/rerank"),
    template="sglang.yaml.j2",
    options={
        "context_length": Flag("--context-length"),
        "tensor_parallel": InTemplate(
            flags=("--tp-size", "--tensor-parallel-size", "--tp")
        ),  # absent: all GPUs of the replica that the other sizes leave
        "pipeline_parallel": Flag("--pp-size", aliases=("--pipeline-parallel-size", "--pp")),
        "data_parallel": Flag("--dp-size", aliases=("--data-parallel-size", "--dp")),
        "expert_parallel": InTemplate(),  # true: over the tensor-parallel group
        "gpu_memory_fraction": Flag("--mem-fraction-static"),  # of the whole GPU: weights and KV cache, nothing else
        "gpu_memory": Refused("`--mem-fraction-static` bounds weights and KV cache, not what a request needs besides"),
        "dtype": Flag("--dtype"),
        "quantization": Flag("--quantization"),
        "kv_cache_dtype": Flag(
            "--kv-cache-dtype", values={"fp8": "fp8_e4m3", "fp16": "auto"} | {kind: kind for kind in KV_TYPES}
        ),
        "max_concurrency": Flag("--max-running-requests"),
        "max_batch_tokens": Flag("--chunked-prefill-size"),
        "prefix_cache": Switch(on=None, off="--disable-radix-cache"),
        "cpu_offload": Flag("--cpu-offload-gb", values={"none": None}),
        "chat_template": InTemplate(),
        "reasoning_parser": Flag("--reasoning-parser"),
        "tool_parser": Flag("--tool-call-parser"),
        "lora": InTemplate(),
        # The older algorithms want drafts that were trained for them.
        "speculative": InTemplate(needs=("--speculative-algorithm=STANDALONE",)),
        "trust_remote_code": Switch("--trust-remote-code"),
        # It reads the key from its arguments, or from a file of arguments.
        "api_key": SecretConfig("--config", "/etc/deployer/sglang.yaml", "api-key: {secret}\n"),
    },
    formats=("safetensors",),
    categories=("llm", "embedding", "reranker"),
    gpu="required",
    ready_timeout=1800.0,
    names="one",
    shm_size=32 * 1024**3,  # what upstream's examples give it, also for one GPU: images of requests go through it
    caches={"sglang": CACHE},  # kernels that are compiled at the first start
    env={
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "SGLANG_CACHE_DIR": CACHE,
        "SGLANG_DG_CACHE_DIR": f"{CACHE}/deep_gemm",
        "TRITON_CACHE_DIR": f"{CACHE}/triton",
        "TORCHINDUCTOR_CACHE_DIR": f"{CACHE}/torchinductor",
    },
    flags=FlagTable("sglang", INSTEAD),
    knows_all_flags=True,
    takes_beginnings=True,
    help=(("python3", "-m", "sglang.launch_server", "--help"),),
    # 0.5.23: sglang/srt/server_args.py `_handle_gpu_memory_settings` and `swa_full_tokens_ratio`.
    memory=Memory(
        "static",
        no_cache_size="`--max-total-tokens` only lowers what it finds",
        windows=0.8,
        batches=(
            Batch(0, 2048, 8),
            Batch(20, 4096, 48),
            Batch(35, 4096, 32),
            Batch(60, 8192, 256),
            Batch(160, 16384, 512),
        ),
        captures_graphs=True,
    ),
    capability=(7, 5),
    wanted=(Wanted("0.5.20", (580,)),),  # the first of CUDA 13
    source="SGLang wheels 0.4.6.post5 to 0.5.23 (sglang.srt.server_args, entrypoints.http_server); docs.sglang.io",
)
