"""`options`: backend-neutral settings. Each backend maps every one to its own flag or refuses it with a reason."""

from typing import Annotated, Literal

from pydantic import Field

from deployer.spec.language.base import Secret, Section, Size, Text, one_or_more

SECRET_ITEM = {"type": "object", "properties": {"secret": {"type": "string"}}, "required": ["secret"]}


class Speculative(Section):
    model: str
    tokens: int = Field(gt=0)


class Options(Section):
    context_length: int | None = Field(None, gt=0, description="tokens a request may have, prompt and answer")
    tensor_parallel: int | None = Field(None, gt=0)
    pipeline_parallel: int | None = Field(None, gt=0)
    data_parallel: int | None = Field(None, gt=0)
    expert_parallel: bool | int | None = None
    gpu_memory_fraction: float | None = Field(None, gt=0, le=1)
    gpu_memory: Size | None = Field(None, description="GPU memory this replica may use, on a shared GPU")
    dtype: str | None = None
    quantization: str | None = None
    kv_cache_dtype: str | None = None
    max_concurrency: int | None = Field(None, gt=0, description="requests served at the same time")
    max_batch_tokens: int | None = Field(None, gt=0)
    prefix_cache: bool | None = None
    cpu_offload: int | float | Literal["auto", "none"] | None = Field(
        None, description="llama.cpp-like: layers on the GPU; vLLM: GiB"
    )
    chat_template: str | None = Field(None, description="a file beside the spec, or a built-in name")
    reasoning_parser: str | None = None
    tool_parser: str | None = None
    lora: dict[str, Text] | None = Field(None, description="name: path on the host")
    speculative: Speculative | None = None
    trust_remote_code: bool | None = None
    api_key: Annotated[tuple[Secret, ...], *one_or_more(SECRET_ITEM)] | None = None


OPTION_NAMES: tuple[str, ...] = tuple(Options.model_fields)
