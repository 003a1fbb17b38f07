"""NVIDIA NIM for LLMs: models of NVIDIA's catalogue, an image each, and fine-tuned weights in an image of their family.

`ngc://nim/meta/llama-3.1-8b-instruct` with a `version` is the image `nvcr.io/nim/meta/llama-3.1-8b-instruct:VERSION`;
weights on a host go into the image that the service names. Releases 1.x and 2.x are told things differently, so the
image's release has to be known. 1.x: TensorRT-LLM or vLLM as its profile says, engines built at the first start where
no profile fits. 2.x: one engine an image, mostly vLLM, whose own flags go through `NIM_PASSTHROUGH_ARGS`; those written
here are vLLM's. Nothing of it was run: what is here is from NVIDIA's documentation and from logs of 1.8.4.
"""

from deployer.backends.base import FILES, Api, Backend, FlagRange, Images, InTemplate, Refused, Wanted

BY_PROFILE = "its profile decides it; choose one with `nim.profile`"
ENGINE_FLAGS = ("NIM_PASSTHROUGH_ARGS",)

BACKEND = Backend(
    name="nim",
    title="NVIDIA NIM",
    aliases=("nvidia-nim",),
    images=Images(
        repository=None,
        gpu="{number}",
        of_model="nvcr.io/{model}",
        family="nvcr.io/nim/",
        instead="name its release with `version`, as in `1.8.4`, or the image with the service's `image`",
    ),
    version=None,
    port=8000,
    api=Api(health="/v1/health/ready"),
    template="nim.yaml.j2",
    sources=("ngc", *FILES),
    chosen_for={"ngc": ("llm",)},
    has_profiles=True,
    prefetch=("download-to-cache", "-p"),  # "Serving models from local assets"; without GPUs where the id is given
    options={
        "context_length": InTemplate(),
        "tensor_parallel": InTemplate(),
        "pipeline_parallel": InTemplate(),
        "data_parallel": Refused("it has one engine a server; use `replicas`", (1,)),
        "expert_parallel": Refused(BY_PROFILE, (False, 1)),
        "gpu_memory_fraction": InTemplate(),
        "gpu_memory": Refused("it knows fractions only; use `gpu_memory_fraction`"),
        "dtype": Refused(BY_PROFILE, ("auto",)),
        "quantization": Refused(BY_PROFILE),
        "kv_cache_dtype": Refused(BY_PROFILE, ("auto",)),
        "max_concurrency": InTemplate(),
        "max_batch_tokens": InTemplate(needs=ENGINE_FLAGS),
        "prefix_cache": InTemplate(),
        "cpu_offload": Refused("its models are on GPUs as a whole", ("none",)),
        "chat_template": InTemplate(),
        "reasoning_parser": InTemplate(needs=ENGINE_FLAGS),
        "tool_parser": InTemplate(),
        "lora": InTemplate(),
        "speculative": Refused(BY_PROFILE),
        "trust_remote_code": InTemplate(),
        "api_key": Refused("it has no API key; put a gateway with one before it, and leave `port.bind` alone"),
    },
    formats=("safetensors",),
    categories=("llm",),
    gpu="required",
    ready_timeout=7200.0,
    stall_timeout=1800.0,  # an engine is built without a word
    first_start="its first start fetches the model, or builds an engine for these GPUs",
    wants_env={"NGC_API_KEY": "it fetches its model with this key, unless its cache holds the model already"},
    shm_size=16 * 1024**3,
    stop_grace=60.0,
    caches={"cache": "/opt/nim/.cache"},
    wanted=(  # its documentation, "Prerequisites" of 1.0, 1.8 and 2.0
        Wanted("0", (535,)),
        Wanted("1.3", (560,), {470: (470, 57), 535: (535, 86), 550: (550, 54)}, docker=(23, 0, 1)),
        Wanted("2.0", (580,), docker=(24,)),
    ),
    flags={
        "download-to-cache": FlagRange(gone="2.0"),
        "NIM_FT_MODEL": FlagRange(gone="2.0", instead="nothing: a folder is told by `NIM_MODEL_PATH`"),
        "NIM_MODEL_PATH": FlagRange(since="2.0"),
        "NIM_PASSTHROUGH_ARGS": FlagRange(since="2.0"),
    },
    source="NVIDIA NIM for LLMs documentation, 1.8 to 1.15 and 2.0 to 2.1.5 (configuration, profiles, fine-tuned model "
    "support, air gap), NVIDIA/nim-deploy",
)
