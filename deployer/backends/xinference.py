"""Xinference: models of its own lists, and files, several at once: chat, embeddings, reranking, images and audio.

Every model is launched by a request of its own, and forgotten when the server restarts: `xinference.start.py` is the
container's process and launches them each time, `xinference.setup.yaml.j2` waits for them and finds what is missing.
Images before 2.0 have the engines in them; from 3.0 on an engine is installed when its first model is launched, which
takes PyPI or a mirror of it, and CUDA 13. Login is off: from 3.0 on it is a database of users. 1.x and 2.x run code
that comes with an LLM unless `trust_remote_code: false` says otherwise, and that of all other models in any case.
"""

from deployer.backends.base import FILES, Api, Backend, FlagRange, Images, InTemplate, Refused, Wanted
from deployer.backends.builtin_tables import BuiltinTable

CHAT = ("llm",)
BY_ENGINE = InTemplate(per_model=True, categories=CHAT)  # refused for an engine that is not known to have it
HOME = "/var/lib/xinference"

BACKEND = Backend(
    name="xinference",
    title="Xinference",
    images=Images(repository="xprobe/xinference", gpu="v{number}", cpu="v{number}-cpu"),
    version="v4.1.0",
    port=9997,
    api=Api(
        health="/status",
        rerank="/v1/rerank",
        speech="/v1/audio/speech",
        transcriptions="/v1/audio/transcriptions",
        images="/v1/images/generations",
        voice="",  # it takes one of its own
    ),
    template="xinference.yaml.j2",
    setup="xinference.setup.yaml.j2",
    files={"/etc/deployer/start.py": "xinference.start.py"},
    sources=("builtin", *FILES),
    builtin=BuiltinTable("xinference"),
    names="one",
    takes_model_args=True,
    options={
        "context_length": BY_ENGINE,
        "tensor_parallel": InTemplate(per_model=True, categories=CHAT),  # absent: one GPU a model
        "pipeline_parallel": Refused("it splits a model over the GPUs of one host; use `tensor_parallel`", (1,)),
        "data_parallel": Refused("use `replicas`, or `args: [--replica, N]` of a model", (1,)),
        "expert_parallel": Refused("write the engine's own option in `args` of the model", (False, 1)),
        "gpu_memory_fraction": BY_ENGINE,
        "gpu_memory": Refused("it knows fractions only; use `gpu_memory_fraction`"),
        "dtype": BY_ENGINE,
        "quantization": InTemplate(per_model=True),
        "kv_cache_dtype": BY_ENGINE,
        "max_concurrency": BY_ENGINE,
        "max_batch_tokens": BY_ENGINE,
        "prefix_cache": BY_ENGINE,
        "cpu_offload": BY_ENGINE,
        "chat_template": Refused("the model's family decides it; register a family of your own"),
        "reasoning_parser": Refused("the model's family decides it; `args: [--reasoning_content, true]` turns it on"),
        "tool_parser": Refused("the model's family decides it"),
        "lora": InTemplate(),
        "speculative": Refused("write the engine's own option in `args` of the model"),
        "trust_remote_code": InTemplate(),
        "api_key": Refused("its keys belong to users of its own; put a gateway before it, and leave `port.bind` alone"),
    },
    formats=("safetensors", "gguf"),
    categories=("llm", "embedding", "reranker", "image", "speech-to-text", "text-to-speech"),
    gpu="optional",
    ready_timeout=3600.0,  # of each launch too
    shm_size=8 * 1024**3,
    shm_size_multi_gpu=16 * 1024**3,
    stop_grace=60.0,
    caches={"home": HOME},  # weights, engines and logs
    flags={name: FlagRange(since="3.0") for name in ("XINFERENCE_TRUST_REMOTE_CODE", "torch_dtype")},
    wanted=(Wanted("1", (550,)), Wanted("3", (580,))),  # CUDA 12.4, then 13.0
    env={"XINFERENCE_HOME": HOME, "XINFERENCE_AUTH_ADVANCED": "false"},
    source="Xinference wheels 1.5.0, 2.0.0, 3.2.1 and 4.1.0 (api.restful_api, core.supervisor, core.worker, constants, "
    "deploy.cmdline), xinference/deploy/docker and doc/source/getting_started of v3.2.1; 4.1.0 was run, on a CPU",
)
