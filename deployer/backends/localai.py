"""LocalAI: models of its gallery, GGUF files and folders, several at once, each by an engine that it fetches itself.

Its models are told it by one file (`LOCALAI_MODELS_CONFIG_FILE`, a list of configurations; JSON is YAML), and loaded
before it says that it is ready (`LOCALAI_LOAD_TO_MEMORY`, `/readyz` since 4.9), so that a model that cannot be loaded
ends the start and is no first request that waits. Engines are images of their own, fetched on first use into
`/backends`, which is kept on the host: the first start takes a network.
"""

from deployer.backends.base import FILES, Api, Backend, Images, InTemplate, Refused, SecretEnv

CHAT = ("llm",)
KV_TYPES = {"fp16": "f16"} | {kind: kind for kind in ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "fp8", "auto")}
BESIDE = "it looks for such files beside the model's own"

BACKEND = Backend(
    name="localai",
    title="LocalAI",
    aliases=("local-ai",),
    images=Images(
        repository="localai/localai",
        gpu="v{number}-gpu-nvidia-cuda-12",
        cpu="v{number}",
        others=("v{number}-gpu-nvidia-cuda-13",),
    ),
    version="v4.9.0",
    port=8080,
    api=Api(
        health="/readyz",
        rerank="/v1/rerank",
        speech="/v1/audio/speech",
        transcriptions="/v1/audio/transcriptions",
        images="/v1/images/generations",
        voice="",  # it takes one of its own
    ),
    template="localai.yaml.j2",
    sources=(*FILES, "builtin"),
    takes_model_args=True,
    options={
        "context_length": InTemplate(per_model=True, categories=(*CHAT, "embedding", "reranker")),
        "tensor_parallel": InTemplate(),  # for llama.cpp it is how many GPUs there are
        "pipeline_parallel": Refused("its engines split a model over GPUs by themselves; use `tensor_parallel`", (1,)),
        "data_parallel": Refused("it has one engine a model; use `replicas`", (1,)),
        "expert_parallel": Refused("it has no such thing", (False, 1)),
        "gpu_memory_fraction": InTemplate(per_model=True, categories=CHAT),  # vLLM's
        "gpu_memory": Refused("it knows fractions only; use `gpu_memory_fraction`"),
        "dtype": InTemplate(per_model=True, categories=CHAT),  # vLLM's
        "quantization": InTemplate(per_model=True, categories=CHAT),
        "kv_cache_dtype": InTemplate(per_model=True, categories=CHAT, values=KV_TYPES),
        "max_concurrency": InTemplate(per_model=True, categories=CHAT),
        "max_batch_tokens": InTemplate(per_model=True, categories=CHAT),
        "prefix_cache": InTemplate(per_model=True, categories=CHAT),  # vLLM's
        "cpu_offload": InTemplate(per_model=True, categories=CHAT, values={"auto": "auto", "none": "none"}),
        "chat_template": Refused("its templates are in a language of its own; the model's own is used"),
        "reasoning_parser": InTemplate(per_model=True, categories=CHAT),
        "tool_parser": InTemplate(per_model=True, categories=CHAT),  # vLLM's
        "lora": Refused(f"{BESIDE}; serve a model that has the adapter merged"),
        "speculative": Refused(f"{BESIDE}; write `args: [--draft_model, PATH]` of the model"),
        "trust_remote_code": InTemplate(),
        "api_key": SecretEnv("LOCALAI_API_KEY"),
    },
    formats=("gguf", "safetensors"),
    categories=("llm", "embedding", "reranker", "image", "speech-to-text", "text-to-speech"),
    gpu="optional",
    ready_timeout=3600.0,  # engines are fetched, and models of the gallery, before it is ready
    shm_size_multi_gpu=8 * 1024**3,
    caches={"backends": "/backends", "data": "/data"},
    env={"LOCALAI_MODELS_PATH": "/models"},
    source="LocalAI v4.9.0: core/cli/run.go, core/config/model_config.go, core/application/startup.go, core/backend/"
    "options.go, backend/cpp/llama-cpp/grpc-server.cpp, backend/python/*, Dockerfile, docs/content; not run on a GPU",
)
