"""Which files of a model a backend is given. Pure; what a hub lists is hostile."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from deployer.errors import Diagnostic
from deployer.formats.gguf_parts import SPLIT, split_parts
from deployer.formats.hub_names import refused_names
from deployer.formats.text import one_line
from deployer.spec.language import Model
from deployer.values.facts import PathFact
from deployer.values.weights import Listing, Manifest, WeightFile

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.joblib")
OTHERS = (  # weights of other frameworks, beside the safetensors
    "*.gguf", "*.h5", "*.msgpack", "*.onnx", "*.onnx_data", "*.ot", "*.tflite", "*.pb", "*.mlmodel", "*.mlpackage/*",
    "onnx/*", "openvino/*", "coreml/*", "flax/*", "original/*", "metal/*", "runs/*", "*.nemo", "*.llamafile",
)  # fmt: skip
ABOUT = (
    "*.png",
    "*.jpg",
    "*.jpeg",
    "*.gif",
    "*.webp",
    "*.svg",
    "*.mp4",
    "*.pdf",
    ".gitattributes",
    ".gitignore",
    "*.md",
)
CODE = "*.py"
WEIGHTS = (".safetensors", ".gguf")
VARIANT = re.compile(r"\.(?:fp16|fp32|bf16|non_ema)(?=\.|-\d{5}-of-)")
PREFERRED = "q4_k_m"  # of several GGUF quantizations, as llama.cpp's own `-hf` prefers it
PROJECTOR = "mmproj"


def chosen_files(model: Model, listing: Listing, formats: Sequence[str]) -> tuple[WeightFile, ...] | Diagnostic:
    """What the spec includes, or by default what the formats need; sorted. Never a pickle unasked."""
    offered = [f for f in listing.files if _is_included(model, f)]
    pickles = [f for f in offered if _matches(f.path, PICKLES)]
    if not model.allow_pickle:
        offered = [f for f in offered if f not in pickles]
    if "gguf" in formats and any(_is_gguf(f) for f in offered) and not _safetensors_first(offered, formats):
        chosen = _one_quantization(model, offered)
        if isinstance(chosen, Diagnostic):
            return chosen
    else:
        chosen = offered if model.include else _of_transformers(offered)
    if not any(_is_weights(f, model, formats) for f in chosen):
        return _nothing(model, pickles, formats)
    return tuple(sorted(chosen, key=lambda f: f.path))


def manifest_of(model: Model, listing: Listing, formats: Sequence[str]) -> Manifest | Diagnostic:
    """The chosen files, each with a name that may be one on a host."""
    chosen = chosen_files(model, listing, formats)
    if isinstance(chosen, Diagnostic):
        return chosen
    refused = [f"{one_line(path, 80)}: {why}" for path, why in refused_names(f.path for f in chosen)]
    if refused:
        message = f"{model.source[0]} has files whose names cannot be used"
        hint = "leave them out with `exclude`, if the model is to be trusted at all"
        return Diagnostic("hostile-names", message, evidence=tuple(refused[:10]), hint=hint)
    return Manifest(listing.source, listing.revision, listing.commit, chosen, listing.origin)


def code_of(manifest: Manifest) -> tuple[str, ...]:
    """Programs among the files, which `trust_remote_code` would run."""
    return tuple(f.path for f in manifest.files if fnmatchcase(f.path, CODE))


def path_fact(model: Model, listing: Listing) -> PathFact:
    """A listing as if it were a directory of a host, for what reads formats and categories off those."""
    about = dict.fromkeys(f.path.split("/")[0] for f in listing.files if not f.path.endswith(WEIGHTS))
    weights = [f.path for f in listing.files if f.path.endswith(WEIGHTS) and _is_included(model, f)]
    entries = (*about, *weights)
    return PathFact(
        listing.source,
        "directory",
        entries=entries,
        architectures=listing.architectures,
        pooling=listing.pooling,
        shape=listing.shape,
    )


def _is_included(model: Model, file: WeightFile) -> bool:
    return (not model.include or _matches(file.path, model.include)) and not _matches(file.path, model.exclude)


def first_part(manifest: Manifest) -> tuple[str, ...]:
    """The paths of the GGUF that is served, its first part first; () where the manifest is a folder to serve."""
    ggufs = sorted(f.path for f in manifest.files if _is_gguf(f) and PROJECTOR not in _name(f))
    if not ggufs or any(f.path.endswith(".safetensors") for f in manifest.files):
        return ()
    first = next((p for p in ggufs if (m := SPLIT.match(p)) is None or int(m["part"]) == 1), ggufs[0])
    return split_parts(first)


def _one_quantization(model: Model, offered: Sequence[WeightFile]) -> list[WeightFile] | Diagnostic:
    """All parts of one GGUF model, and whatever else the spec includes by name."""
    groups: dict[str, list[WeightFile]] = {}
    for file in offered:
        if _is_gguf(file) and PROJECTOR not in _name(file):
            match = SPLIT.match(file.path)
            groups.setdefault(match["stem"] if match else file.path, []).append(file)
    preferred = [stem for stem in groups if PREFERRED in posixpath.basename(stem).lower()]
    stems = [*groups] if len(groups) == 1 else preferred
    if len(stems) != 1:
        return _ambiguous(model, groups)
    group = groups[stems[0]]
    present = {f.path for f in group}
    missing = [part for part in split_parts(group[0].path) if part not in present]
    if missing:
        message = f"{len(missing)} parts of `{group[0].path}` are not in {model.source[0]}"
        hint = "widen `include`, or take another quantization"
        return Diagnostic("model-parts-missing", message, evidence=tuple(missing[:10]), hint=hint)
    return [*group, *(f for f in offered if model.include and (not _is_gguf(f) or PROJECTOR in _name(f)))]


def _ambiguous(model: Model, groups: dict[str, list[WeightFile]]) -> Diagnostic:
    lines = [f"{one_line(stem, 80)}  {sum(f.size for f in files) / 2**30:.1f} GiB" for stem, files in groups.items()]
    return Diagnostic(
        "ambiguous-model",
        f"{model.source[0]} has {len(groups)} GGUF models",
        evidence=tuple(sorted(lines)[:30]),
        hint='choose one with `include`, as `include: ["*q4_k_m*.gguf"]`',
    )


def _of_transformers(offered: Iterable[WeightFile]) -> list[WeightFile]:
    """A model's folder without what its safetensors make superfluous."""
    kept = [f for f in offered if not _matches(f.path, (*OTHERS, *ABOUT))]
    paths = {f.path for f in kept}
    kept = [f for f in kept if VARIANT.sub("", f.path) == f.path or VARIANT.sub("", f.path) not in paths]
    tensors = [f for f in kept if f.path.endswith(".safetensors")]
    if tensors:
        kept = [f for f in kept if not _matches(f.path, PICKLES)]
    if any(not _name(f).startswith("consolidated") for f in tensors):  # Mistral's own layout of the same weights
        kept = [f for f in kept if not (_name(f).startswith("consolidated") and f in tensors)]
    return kept


def _safetensors_first(offered: Sequence[WeightFile], formats: Sequence[str]) -> bool:
    there = any(f.path.endswith(".safetensors") for f in offered)
    return there and "safetensors" in formats and formats.index("safetensors") < formats.index("gguf")


def _nothing(model: Model, pickles: Sequence[WeightFile], formats: Sequence[str]) -> Diagnostic:
    if pickles:
        message = f"the weights of {model.source[0]} are pickles, which run code when they are loaded"
        hint = "take a model with safetensors, or set `allow_pickle: true` if you trust its owner"
        return Diagnostic("pickle-refused", message, evidence=tuple(f.path for f in pickles[:10]), hint=hint)
    wanted = " or ".join(formats) or "weights"
    message = f"{model.source[0]} has no {wanted} files" + (" that `include` lets through" if model.include else "")
    return Diagnostic("no-weights", message, hint="correct `source`, `include` or `backend`")


def _is_weights(file: WeightFile, model: Model, formats: Sequence[str]) -> bool:
    is_pickle = model.allow_pickle and _matches(file.path, PICKLES)
    suffixes = tuple(f".{known}" for known in formats) or WEIGHTS
    return is_pickle or bool(model.include) or file.path.endswith(suffixes)


def _is_gguf(file: WeightFile) -> bool:
    return file.path.lower().endswith(".gguf")


def _name(file: WeightFile) -> str:
    return posixpath.basename(file.path).lower()


def _matches(path: str, patterns: Iterable[str]) -> bool:
    """As huggingface_hub's allow_patterns: `*` crosses folders, `folder/` means all in it."""
    return any(fnmatchcase(path, pattern + "*" if pattern.endswith("/") else pattern) for pattern in patterns)
