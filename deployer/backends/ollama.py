"""Ollama: models of its own registry, and GGUF files; on CPUs and GPUs.

What a service is given is a model derived for it, with its options as parameters, under a name that carries their
digest (`deployer/model:DIGEST`); once it has answered, the served names are copied from it. The server keeps them on
disk, so they are there again after a restart; `ollama.setup.yaml.j2` says what is missing.
"""

from deployer.backends.base import FILES, Api, Backend, Batch, Images, InTemplate, Memory, Refused
from deployer.backends.builtin_tables import BuiltinTable

FROM_MODEL = "the model has it decided; take another one"
WHAT_IT_NEEDS = "it takes what weights and context need; lower `context_length`"
KV_TYPES: dict[str, str | None] = {"auto": None, "fp16": "f16", "f16": "f16", "q8_0": "q8_0", "q4_0": "q4_0"}

BACKEND = Backend(
    name="ollama",
    title="Ollama",
    images=Images(repository="ollama/ollama", gpu="{number}", cpu="{number}", others=("{number}-rocm",)),
    version="0.32.15",
    port=11434,
    api=Api(health="/api/version"),
    template="ollama.yaml.j2",
    setup="ollama.setup.yaml.j2",
    sources=("ollama", *FILES),
    builtin=BuiltinTable("ollama"),
    names="tagged",
    options={
        "context_length": InTemplate(per_model=True),
        "tensor_parallel": InTemplate(),
        "pipeline_parallel": Refused("it splits layers over a replica's GPUs by itself; use `tensor_parallel`", (1,)),
        "data_parallel": Refused("it has one server a container; use `replicas`", (1,)),
        "expert_parallel": Refused("it has no such thing", (False, 1)),
        "gpu_memory_fraction": Refused(WHAT_IT_NEEDS),
        "gpu_memory": Refused(WHAT_IT_NEEDS),
        "dtype": Refused(FROM_MODEL, ("auto",)),
        "quantization": Refused("the model's tag decides it, as in `ollama://qwen3:8b-q8_0`"),
        "kv_cache_dtype": InTemplate(values=KV_TYPES),
        "max_concurrency": InTemplate(),
        "max_batch_tokens": InTemplate(per_model=True),
        "prefix_cache": Refused("it always keeps what the last prompts left", (True,)),
        "cpu_offload": InTemplate(values={"auto": "auto", "none": "999"}, per_model=True),
        "chat_template": Refused("its templates are in a language of its own; the model brings one"),
        "reasoning_parser": Refused("it knows by the model what it thinks; leave it out", ("auto",)),
        "tool_parser": Refused("it knows by the model how tools are called; leave it out", ("auto",)),
        "lora": Refused("it takes adapters only when a model is made; serve a model that has the adapter merged"),
        "speculative": Refused("it has no draft models"),
        "trust_remote_code": Refused("its models hold no code", (False,)),
        "api_key": Refused("it has no API key; put a gateway with one before it, and leave `port.bind` alone"),
    },
    formats=("gguf",),
    chosen_for={"ollama": ("llm", "embedding")},
    categories=("llm", "embedding"),
    gpu="optional",
    ready_timeout=900.0,
    caches={"models": "/root/.ollama"},
    env={"OLLAMA_KEEP_ALIVE": "-1", "OLLAMA_NO_CLOUD": "1"},
    memory=Memory(  # contexts: `envconfig` and server/routes.go of 0.33
        "needed",
        split="layers",
        works="graph",
        windows=None,
        block=256,
        batches=(Batch(0, 512, 1),),
        embeds_on_host=True,
        contexts={0: 4096, 24: 32768, 48: 262144},
    ),
    capability=(5, 0),
    source="Ollama docs/api.md, modelfile.md and faq.md, server/create.go, server/routes.go, envconfig of v0.33.0-rc2",
)
