"""vox-box: speech to text and text to speech, on a GPU or on CPUs.

Flags and paths were taken from the wheel 0.0.21, tags from gpustack/runner's list of images; there is none for CPUs.
It loads its model before it listens. Its errors come with status 200, and the model is listed by its path.
"""

from deployer.backends.base import Api, Backend, FlagRange, Images, Refused

FROM_MODEL = "the model and its framework decide it"
NO_TEXT = "it serves speech models"
FLAGS = "--debug --host --port --model --device --huggingface-repo-id --model-scope-model-id --data-dir"
ONE_GPU = "a server has one GPU; use `replicas`"

BACKEND = Backend(
    name="vox-box",
    title="vox-box",
    aliases=("voxbox", "vox_box"),
    images=Images(
        repository="gpustack/runner",
        gpu="cuda12.8-voxbox{number}",
        others=("cuda12.6-voxbox{number}", "cuda12.4-voxbox{number}"),
    ),
    version="0.0.21",
    port=80,
    api=Api(
        health="/health",
        chat=None,
        completions=None,
        embeddings=None,
        speech="/v1/audio/speech",
        voices="/v1/voices",
        transcriptions="/v1/audio/transcriptions",
    ),
    template="vox-box.yaml.j2",
    options={
        "context_length": Refused(NO_TEXT),
        "tensor_parallel": Refused(ONE_GPU, (1,)),
        "pipeline_parallel": Refused(ONE_GPU, (1,)),
        "data_parallel": Refused(ONE_GPU, (1,)),
        "expert_parallel": Refused(ONE_GPU, (False, 1)),
        "gpu_memory_fraction": Refused(FROM_MODEL),
        "gpu_memory": Refused(FROM_MODEL),
        "dtype": Refused(FROM_MODEL, ("auto",)),
        "quantization": Refused(FROM_MODEL),
        "kv_cache_dtype": Refused(FROM_MODEL, ("auto",)),
        "max_concurrency": Refused("it serves one request after the other"),
        "max_batch_tokens": Refused(NO_TEXT),
        "prefix_cache": Refused(NO_TEXT, (False,)),
        "cpu_offload": Refused("the model is on the GPU or on the CPU as a whole", ("none",)),
        "chat_template": Refused(NO_TEXT),
        "reasoning_parser": Refused(NO_TEXT),
        "tool_parser": Refused(NO_TEXT),
        "lora": Refused(NO_TEXT),
        "speculative": Refused(NO_TEXT),
        "trust_remote_code": Refused("it has no such switch; what its frameworks run is theirs to say", (False,)),
        "api_key": Refused("it knows no keys; put a gateway before it"),
    },
    formats=(),
    categories=("speech-to-text", "text-to-speech"),
    gpu="optional",
    ready_timeout=900.0,
    names="path",
    env={"HF_HUB_OFFLINE": "1"},
    flags={flag: FlagRange() for flag in FLAGS.split()},
    knows_all_flags=True,
    takes_beginnings=True,
    help=(("vox-box", "start", "--help"),),
    source="vox-box 0.0.21 (vox_box.cmd.start, vox_box.server.routers); gpustack/runner's list of images",
)
