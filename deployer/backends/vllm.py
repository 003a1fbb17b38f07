"""vLLM's OpenAI-compatible server: safetensors models on GPUs, and on CPUs by an image of its own.

`FlagRange`s say in which of the releases from 0.8.3 to 0.33.0 that were looked into a flag was first seen or missed.
"""

from deployer.backends.base import Api, Backend, Batch, Flag, FlagRange, Images, InTemplate, Memory, SecretEnv, Switch
from deployer.backends.flag_tables import FlagTable

OFF_BY_DEFAULT = "nothing: requests are not logged unless `--enable-log-requests` is given"
DROPPED = "nothing: it has no effect any more"
IN_ALL = """
--model --served-model-name --revision --tokenizer --tokenizer-mode --trust-remote-code --dtype --quantization
--kv-cache-dtype --max-model-len --max-num-seqs --max-num-batched-tokens --tensor-parallel-size
--pipeline-parallel-size --data-parallel-size --enable-expert-parallel --gpu-memory-utilization --cpu-offload-gb
--enable-prefix-caching --enable-chunked-prefill --chat-template --chat-template-content-format --reasoning-parser
--enable-auto-tool-choice --tool-call-parser --enable-lora --lora-modules --max-loras --max-lora-rank --api-key
--host --port --root-path --enforce-eager --load-format --download-dir --hf-overrides --limit-mm-per-prompt
--mm-processor-kwargs --uvicorn-log-level --distributed-executor-backend --speculative-config --generation-config
--override-generation-config --enable-sleep-mode --model-impl --config-format --enable-prompt-tokens-details
--allowed-origins --ssl-keyfile --ssl-certfile --compilation-config --kv-transfer-config
--disable-custom-all-reduce --max-parallel-loading-workers --seed --block-size --enable-server-load-tracking
--middleware --response-role
"""

BACKEND = Backend(
    name="vllm",
    title="vLLM",
    images=Images(
        repository="vllm/vllm-openai", gpu="v{number}", cpu="v{number}", cpu_repository="vllm/vllm-openai-cpu"
    ),
    version="v0.33.0",
    port=8000,
    api=Api(health="/health", rerank="/v1/rerank"),
    template="vllm.yaml.j2",
    options={
        "context_length": Flag("--max-model-len"),
        "tensor_parallel": InTemplate(
            flags=("--tensor-parallel-size", "-tp")
        ),  # absent: all GPUs of the replica that the other sizes leave
        "pipeline_parallel": Flag("--pipeline-parallel-size", aliases=("-pp",)),
        "data_parallel": Flag("--data-parallel-size", aliases=("-dp",)),
        "expert_parallel": Switch("--enable-expert-parallel"),
        "gpu_memory_fraction": Flag("--gpu-memory-utilization"),
        "gpu_memory": InTemplate(),  # as the fraction it is of the GPU's memory
        "dtype": Flag("--dtype"),
        "quantization": Flag("--quantization", aliases=("-q",)),
        "kv_cache_dtype": Flag("--kv-cache-dtype"),
        "max_concurrency": Flag("--max-num-seqs"),
        "max_batch_tokens": Flag("--max-num-batched-tokens"),
        "prefix_cache": Switch("--enable-prefix-caching", "--no-enable-prefix-caching"),
        "cpu_offload": Flag("--cpu-offload-gb", values={"none": None}),
        "chat_template": InTemplate(),
        "reasoning_parser": InTemplate(),
        "tool_parser": InTemplate(),
        "lora": InTemplate(),
        "speculative": InTemplate(),
        "trust_remote_code": Switch("--trust-remote-code"),
        "api_key": SecretEnv("VLLM_API_KEY"),
    },
    formats=("safetensors",),
    chosen_for={"safetensors": ("llm", "embedding", "reranker")},
    categories=("llm", "embedding", "reranker"),
    gpu="optional",
    ready_timeout=1800.0,
    shm_size_multi_gpu=int(10.24 * 1024**3),  # what upstream's examples give engines of several processes
    caches={"vllm": "/root/.cache/vllm"},  # compiled kernels: minutes of every start but the first
    env={
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
    },
    flags=FlagTable(
        "vllm",
        more={flag: FlagRange() for flag in IN_ALL.split()}
        | {
            "--attention-backend": FlagRange(since="0.13.0"),
            "--calculate-kv-scales": FlagRange(gone="0.32.0", instead=DROPPED),
            "--convert": FlagRange(since="0.10.2"),
            "--data-parallel-address": FlagRange(since="0.9.2"),
            "--data-parallel-backend": FlagRange(since="0.9.2"),
            "--data-parallel-hybrid-lb": FlagRange(since="0.10.0"),
            "--data-parallel-rpc-port": FlagRange(since="0.9.2"),
            "--data-parallel-size-local": FlagRange(since="0.9.2"),
            "--data-parallel-start-rank": FlagRange(since="0.9.2"),
            "--default-chat-template-kwargs": FlagRange(since="0.15.0"),
            "--device": FlagRange(gone="0.10.0", instead=DROPPED),
            "--device-ids": FlagRange(since="0.25.0"),
            "--disable-access-log-for-endpoints": FlagRange(since="0.17.0"),
            "--disable-log-requests": FlagRange(gone="0.17.0", instead=OFF_BY_DEFAULT),
            "--enable-log-requests": FlagRange(since="0.10.2"),
            "--enable-reasoning": FlagRange(gone="0.10.0", instead="`--reasoning-parser` alone"),
            "--guided-decoding-backend": FlagRange(
                gone="0.12.0", instead="""`--structured-outputs-config '{"backend": ...}'`"""
            ),
            "--headless": FlagRange(since="0.9.2"),
            "--hf-token": FlagRange(since="0.9.2"),
            "--kv-cache-memory-bytes": FlagRange(since="0.10.2"),
            "--kv-offloading-size": FlagRange(since="0.12.0"),
            "--logits-processor-pattern": FlagRange(gone="0.17.0"),
            "--master-addr": FlagRange(since="0.12.0"),
            "--master-port": FlagRange(since="0.12.0"),
            "--nnodes": FlagRange(since="0.12.0"),
            "--node-rank": FlagRange(since="0.12.0"),
            "--num-scheduler-steps": FlagRange(gone="0.10.2", instead=DROPPED),
            "--override-pooler-config": FlagRange(gone="0.12.0", instead="`--pooler-config`"),
            "--pooler-config": FlagRange(since="0.11.0"),
            "--rope-scaling": FlagRange(gone="0.12.0", instead="""`--hf-overrides '{"rope_scaling": ...}'`"""),
            "--rope-theta": FlagRange(gone="0.12.0", instead="""`--hf-overrides '{"rope_theta": ...}'`"""),
            "--runner": FlagRange(since="0.10.2"),
            "--structured-outputs-config": FlagRange(since="0.11.0"),
            "--swap-space": FlagRange(gone="0.19.0", instead=DROPPED),
            "--task": FlagRange(gone="0.13.0", instead="`--runner` and `--convert`"),
            "--uds": FlagRange(since="0.10.2"),
        },
    ),
    help=(("--help=all",), ("--help",)),
    # 0.33: vllm/engine/arg_utils.py `get_batch_defaults`, vllm/v1/core/kv_cache_utils.py; the fraction from 0.25 on.
    memory=Memory(
        "total",
        0.92,
        fraction_before=("0.25", 0.9),
        windows=None,
        batches=(Batch(0, 2048, 256), Batch(70, 8192, 1024), Batch(160, 16384, 1024)),
        captures_graphs=True,
        cache_size="--kv-cache-memory-bytes",
    ),
    capability=(7, 5),
    source="vLLM wheels 0.8.3 to 0.33.0 (vllm.engine.arg_utils, vllm.entrypoints.openai.cli_args) and docs.vllm.ai",
)
