"""Any other server with an API like OpenAI's: the spec brings the image and says how it is started.

Nothing is known of it but what the spec says: `args` or `container.command` are its whole command, `port.container` is
where it listens, `api` where it is asked. That it is up is seen by its list of models, unless `api.health` is given.
"""

from deployer.backends.base import FILES, Api, Backend, Images, Refused, SecretByHand

UNKNOWN = "deployer does not know this server; say it in `args` or `env`"

BACKEND = Backend(
    name="container",
    title="any container",
    aliases=("custom", "generic", "openai-compatible"),
    images=Images(repository=None, gpu=None, instead="name the server's with the service's `image`"),
    version=None,
    port=8000,
    api=Api(
        health="/v1/models",
        rerank="/v1/rerank",
        speech="/v1/audio/speech",
        transcriptions="/v1/audio/transcriptions",
        images="/v1/images/generations",
    ),
    template="container.yaml.j2",
    options={
        "context_length": Refused(UNKNOWN),
        "tensor_parallel": Refused(UNKNOWN, (1,)),
        "pipeline_parallel": Refused(UNKNOWN, (1,)),
        "data_parallel": Refused(UNKNOWN, (1,)),
        "expert_parallel": Refused(UNKNOWN, (False, 1)),
        "gpu_memory_fraction": Refused(UNKNOWN),
        "gpu_memory": Refused(UNKNOWN),
        "dtype": Refused(UNKNOWN),
        "quantization": Refused(UNKNOWN),
        "kv_cache_dtype": Refused(UNKNOWN),
        "max_concurrency": Refused(UNKNOWN),
        "max_batch_tokens": Refused(UNKNOWN),
        "prefix_cache": Refused(UNKNOWN),
        "cpu_offload": Refused(UNKNOWN),
        "chat_template": Refused(UNKNOWN),
        "reasoning_parser": Refused(UNKNOWN),
        "tool_parser": Refused(UNKNOWN),
        "lora": Refused(UNKNOWN),
        "speculative": Refused(UNKNOWN),
        "trust_remote_code": Refused(UNKNOWN, (False,)),
        "api_key": SecretByHand(),
    },
    formats=("gguf", "safetensors"),
    categories=("llm", "embedding", "reranker", "speech-to-text", "text-to-speech", "image"),
    sources=(*FILES, "builtin"),
    gpu="optional",
    ready_timeout=1800.0,
    names="listed",
    source="OpenAI's API reference (models, chat, completions, embeddings)",
)
