"""TensorRT-LLM's `trtllm-serve`: safetensors models on GPUs, by its PyTorch engine.

From upstream's documentation and tensorrt_llm/commands/serve.py at some commits, not from an image: since when it has a
flag is sure only of `--served_model_name`, which was merged after 1.2 (NVIDIA/TensorRT-LLM#11711). Where two names of a
flag are known, the older one is written: every version takes it. What answers while it loads is not verified.
"""

from deployer.backends.base import Api, Backend, Batch, Flag, FlagRange, Images, InTemplate, Memory, Refused, Switch

CACHE = "/var/cache/tensorrt-llm"
CONFIG = ("--config", "--extra_llm_api_options")
IN_FILE = "it takes that in a file, with `args: [--extra_llm_api_options, FILE]`"
IN_ALL = """
--tokenizer --host --port --backend --log_level --max_beam_width --max_batch_size --max_num_tokens --max_seq_len
--tp_size --pp_size --ep_size --cluster_size --gpus_per_node --kv_cache_free_gpu_memory_fraction
--num_postprocess_workers --trust_remote_code --extra_llm_api_options --reasoning_parser --metadata_server_config_file
--server_role --fail_fast_on_attention_window_too_large --custom_tokenizer --custom_module_dirs
--tensor_parallel_size --pipeline_parallel_size --context_parallel_size --cp_size --moe_expert_parallel_size
--moe_cluster_parallel_size --free_gpu_memory_fraction --revision --config --tool_parser --otlp_traces_endpoint
--disagg_cluster_uri --enable_chunked_prefill --media_io_kwargs --chat_template
"""

# A field of `kv_cache_config` in the file of options (NVIDIA/TensorRT-LLM#5933); beside a fraction the smaller counts.
SIZE = "max_gpu_total_bytes"

BACKEND = Backend(
    name="tensorrt-llm",
    title="TensorRT-LLM",
    aliases=("trtllm", "trt-llm", "trtllm-serve", "tensorrt_llm", "tensorrtllm"),
    images=Images(repository="nvcr.io/nvidia/tensorrt-llm/release", gpu="{number}"),
    version="1.2.1",
    port=8000,
    api=Api(health="/health", embeddings=None),
    template="tensorrt-llm.yaml.j2",
    options={
        "context_length": Flag("--max_seq_len"),
        "tensor_parallel": InTemplate(
            flags=("--tp_size", "--tensor_parallel_size")
        ),  # absent: all GPUs of the replica that the pipeline leaves
        "pipeline_parallel": Flag("--pp_size"),
        "data_parallel": Refused("it has one engine a server; use `replicas`", (1,)),
        "expert_parallel": InTemplate(),  # true: over the tensor-parallel group
        "gpu_memory_fraction": Flag("--kv_cache_free_gpu_memory_fraction"),  # of what the weights leave
        "gpu_memory": Refused("it takes a share of what the weights leave; use `gpu_memory_fraction`"),
        "dtype": Refused("the checkpoint decides it", ("auto",)),
        "quantization": Refused("the checkpoint decides it; take one that is quantized"),
        "kv_cache_dtype": InTemplate({kind: kind for kind in ("auto", "fp8", "nvfp4")}, excludes=CONFIG),
        "max_concurrency": Flag("--max_batch_size"),
        "max_batch_tokens": Flag("--max_num_tokens"),
        "prefix_cache": InTemplate(excludes=CONFIG),
        "cpu_offload": Refused(IN_FILE, ("none",)),
        "chat_template": InTemplate(),
        "reasoning_parser": Flag("--reasoning_parser"),
        "tool_parser": Flag("--tool_parser"),
        "lora": Refused(IN_FILE),
        "speculative": Refused(IN_FILE),
        "trust_remote_code": Switch("--trust_remote_code"),
        "api_key": Refused("it knows no keys; put a gateway before it"),
    },
    formats=("safetensors",),
    categories=("llm",),
    gpu="required",
    ready_timeout=1800.0,
    names="one",
    name_flag="--served_model_name",
    shm_size_multi_gpu=16 * 1024**3,
    caches={"tensorrt-llm": CACHE},
    env={
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "TRITON_CACHE_DIR": f"{CACHE}/triton",
        "TORCHINDUCTOR_CACHE_DIR": f"{CACHE}/torchinductor",
    },
    flags={flag: FlagRange() for flag in IN_ALL.split()}
    | {f"--extra_llm_api_options.kv_cache_config.{SIZE}": FlagRange(since="1.2.0")}
    | {"--served_model_name": FlagRange(since="1.3.0"), "--served-model-name": FlagRange(since="1.3.0")},
    help=(("trtllm-serve", "serve", "--help"), ("trtllm-serve", "--help")),
    # 1.2: tensorrt_llm/llmapi/llm_args.py, `KvCacheConfig.free_gpu_memory_fraction`, `max_num_tokens`.
    memory=Memory("after-load", 0.9, block=32, batches=(Batch(0, 8192, 256),), captures_graphs=True, cache_size=SIZE),
    source="nvidia.github.io/TensorRT-LLM (trtllm-serve, 0.18 to 1.3.0rc11); tensorrt_llm/commands/serve.py",
)
