"""Estimate: a model that a command line names, how it would be served, and whether it fits. Asks no host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from deployer import backends
from deployer.backends.base import Backend
from deployer.catalog.gpus import GpuModel, find_gpu, near_gpus
from deployer.dataclass import dataclass, replace
from deployer.engine.model_files import FolderFiles
from deployer.engine.model_reading import CONFIG, read_model
from deployer.errors import DeployerError, Diagnostic, OperationError, Severity
from deployer.planning.category import category_of_architecture
from deployer.planning.estimate import smallest_group
from deployer.planning.estimate_choices import usual_choices
from deployer.planning.estimate_fixes import explained
from deployer.planning.estimate_request import Card, Serving, SizedModel
from deployer.values.estimate import Estimate

HUB, SCHEMES = "hf://", ("modelscope://", "https://")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says; None: what the backend, or the estimate, chooses."""

    model: str
    gpu: str | None = None
    count: int | None = None
    backend: str | None = None
    context: int | None = None
    concurrency: int = 1
    dtype: str | None = None
    quantization: str | None = None
    kv_dtype: str | None = None
    tensor_parallel: int | None = None
    pipeline_parallel: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    offline: bool = False


def estimate_asked(asked: Asked) -> Estimate:
    """DeployerError where the command line names what is not there, or files are not what their names say."""
    gpu = gpu_of(asked.gpu) if asked.gpu is not None else None
    named = _backend_of(asked.backend) if asked.backend is not None else None
    if asked.offline and asked.model.startswith((HUB, *SCHEMES)):
        from deployer.planning.offline import refused

        who = "the Hub" if asked.model.startswith(HUB) else "its source"
        hint = "name a folder, or a config.json"
        raise OperationError(refused(f"{who} would be asked about `{asked.model}`", hint))
    model = read_named(asked.model, asked.environment)
    backend = named or default_backend(model)
    card = Card.of(gpu) if gpu is not None else None
    serving = Serving(
        backend=backend,
        context=asked.context,
        sequences=asked.concurrency,
        dtype=asked.dtype,
        quantization=asked.quantization,
        kv_dtype=asked.kv_dtype,
        tensor=asked.tensor_parallel or 1,
        stages=asked.pipeline_parallel,
    )
    if asked.tensor_parallel is None:
        serving = smallest_group(model, serving, card, asked.count)
    found = explained(model, serving, card, asked.count)
    if gpu is None and model.shape is not None and model.weights is not None:
        choices = usual_choices(model, serving, tensor_given=asked.tensor_parallel is not None)
        found = replace(found, choices=tuple(choices))
    if gpu is not None and card is None:
        return replace(found, gpu=gpu.name, problems=(*_but_no_gpu(found), _shared_memory(gpu)))
    return found


def _but_no_gpu(found: Estimate) -> tuple[Diagnostic, ...]:
    return tuple(problem for problem in found.problems if problem.code != "no-gpu")


def _shared_memory(gpu: GpuModel) -> Diagnostic:
    message = f"how much memory a {gpu.name} has, differs from host to host"
    return Diagnostic("gpu-memory-unknown", message, severity=Severity.INFO)


def read_named(name: str, environment: Mapping[str, str]) -> SizedModel:
    """A model of the Hub or of ModelScope, a GGUF file behind https://, a folder, a GGUF file or a config.json."""
    if name.startswith(HUB):
        from deployer.workflow.hub import HubFiles, HubModel

        wanted = HubModel.parse(name)
        return read_model(HubFiles(wanted, name, environment.get("HF_ENDPOINT")), wanted.file)
    if name.startswith(SCHEMES):
        from deployer.workflow.listed import listed_files

        files, file = listed_files(name, environment)
        return read_model(files, file)
    scheme, separator, rest = name.partition("://")
    if separator and scheme != "file":
        message = f"nothing is known of models with `{scheme}://`"
        raise DeployerError(
            Diagnostic("unknown-source", message, hint="name an `hf://` or `modelscope://` model, a folder or a file")
        )
    path = Path(rest if separator else name)
    if path.is_dir():
        return read_model(FolderFiles(path, str(path)))
    if not path.is_file():
        raise _not_there(name, path)
    if path.suffix not in (".gguf", ".json"):
        message = f"`{name}` is neither a GGUF file nor a {CONFIG}"
        raise DeployerError(Diagnostic("no-model-there", message, hint="name the folder that it is in"))
    return read_model(FolderFiles(path.parent, str(path)), path.name)


def _not_there(name: str, path: Path) -> DeployerError:
    hub_like = len(path.parts) == 2 and not path.is_absolute() and not path.suffix
    hint = f"for the model of the Hub write `{HUB}{name}`" if hub_like else "correct the path"
    return DeployerError(Diagnostic("model-not-found", f"`{name}` is not there", hint=hint))


def gpu_of(name: str) -> GpuModel:
    gpu = find_gpu(name)
    if gpu is None:
        near = near_gpus(name)
        hint = "known are " + ", ".join(near) if near else "name it as nvidia-smi does"
        raise DeployerError(Diagnostic("unknown-gpu", f"GPU `{name}` is not known", hint=hint))
    if gpu.vendor != "nvidia":
        message = f"{gpu.name} is no NVIDIA GPU; others are not supported"
        raise DeployerError(Diagnostic("unsupported-gpu", message, hint="name an NVIDIA GPU, as in `--gpu H100`"))
    return gpu


def _backend_of(name: str) -> Backend:
    backend = backends.find(name)
    if backend is None:
        hint = "there are " + ", ".join(f"`{one}`" for one in backends.names())
        raise DeployerError(Diagnostic("unknown-backend", f"backend `{name}` is not known", hint=hint))
    return backend


def default_backend(model: SizedModel) -> Backend:
    """The one that a spec would get which names none."""
    gguf = model.shape is not None and model.shape.is_gguf
    kind = "gguf" if gguf else "safetensors"
    category = category_of_architecture(model.shape.architecture, gguf) if model.shape is not None else "llm"
    chosen = (one for one in backends.load_all() if category in one.chosen_for.get(kind, ()))
    return next(chosen, _backend_of("llama.cpp" if gguf else "vllm"))
