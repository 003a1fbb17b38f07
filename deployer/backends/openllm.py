"""OpenLLM: models of BentoML's catalogue, which its command line fetches and serves with vLLM.

From the wheel 0.6.30 and upstream's README; that it runs in a container was not tried. It has no image, takes no folder
of weights, and at its first start it installs each model's own environment: from the internet, into a cache.
"""

from deployer.backends.base import Api, Backend, FlagRange, Images, Refused

RECIPE = "the model's recipe decides it; `args: [--arg, NAME=VALUE]` changes what the recipe lets you"

BACKEND = Backend(
    name="openllm",
    title="OpenLLM",
    images=Images(
        repository=None,
        gpu=None,
        instead="build one with Python, git and `pip install openllm==0.6.30`, and name it with the service's `image`",
    ),
    version="0.6.30",
    port=3000,
    api=Api(health="/readyz", embeddings=None),
    template="openllm.yaml.j2",
    options={
        "context_length": Refused(RECIPE),
        "tensor_parallel": Refused(RECIPE, (1,)),
        "pipeline_parallel": Refused(RECIPE, (1,)),
        "data_parallel": Refused(RECIPE, (1,)),
        "expert_parallel": Refused(RECIPE, (False, 1)),
        "gpu_memory_fraction": Refused(RECIPE),
        "gpu_memory": Refused(RECIPE),
        "dtype": Refused(RECIPE, ("auto",)),
        "quantization": Refused("a model of another quantization is another one of the catalogue"),
        "kv_cache_dtype": Refused(RECIPE, ("auto",)),
        "max_concurrency": Refused(RECIPE),
        "max_batch_tokens": Refused(RECIPE),
        "prefix_cache": Refused(RECIPE),
        "cpu_offload": Refused(RECIPE, ("none",)),
        "chat_template": Refused(RECIPE),
        "reasoning_parser": Refused(RECIPE),
        "tool_parser": Refused(RECIPE),
        "lora": Refused(RECIPE),
        "speculative": Refused(RECIPE),
        "trust_remote_code": Refused(RECIPE, (False,)),
        "api_key": Refused("it knows no keys; put a gateway before it"),
    },
    formats=("safetensors",),
    categories=("llm",),
    sources=("builtin",),
    gpu="required",
    ready_timeout=3600.0,  # it installs an environment and fetches the weights first
    names="listed",
    notice="OpenLLM has been quiet since 2025, and serves its models with vLLM: `vllm` does so without its catalogue",
    shm_size_multi_gpu=8 * 1024**3,
    caches={"openllm": "/root/.openllm", "huggingface": "/root/.cache/huggingface"},
    env={"BENTOML_DO_NOT_TRACK": "True", "DO_NOT_TRACK": "1"},
    flags={flag: FlagRange() for flag in ("--repo", "--port", "--verbose", "--env", "--arg")},
    source="openllm 0.6.30 (openllm.__main__, openllm.local) and README.md; docs.bentoml.com for the paths",
)
