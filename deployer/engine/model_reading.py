"""What a model's files say of its size: config.json and the headers of its weights, never the weights themselves.

Which files are weights: those that transformers and vLLM load (`model.safetensors`, or what its index names); copies in
other formats beside them (`consolidated.safetensors`, folders of ONNX) are not loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from deployer.dataclass import replace
from deployer.engine.model_files import ModelFiles
from deployer.errors import DeployerError, Diagnostic
from deployer.formats import safetensors
from deployer.formats.gguf_header import GgufHeader, parse_gguf_header
from deployer.formats.gguf_parts import SPLIT, split_parts
from deployer.formats.gguf_shape import gguf_shape
from deployer.formats.model_config import MAX_CONFIG, parse_model_config
from deployer.planning.estimate_request import SizedModel
from deployer.planning.weights_counted import stored_as_shaped
from deployer.planning.weights_named import named_weights, scaled_to
from deployer.values.model_shape import ModelShape
from deployer.values.model_weights import ModelWeights, Tensor, WeightParts

CONFIG, INDEX, SINGLE = "config.json", "model.safetensors.index.json", "model.safetensors"
FIRST_READ, MOST_READ = 1 << 20, 64 << 20  # of a GGUF file, whose header holds the whole vocabulary
HEADER_READ = 128 << 10  # most headers of safetensors are shorter
MOST_FILES = 512
AT_ONCE = 8
LOOSE = re.compile(r"(?!consolidated|adapter_)[^/]*\.safetensors")
Found = TypeVar("Found")


def read_model(files: ModelFiles, file: str | None = None) -> SizedModel:
    """`file`: the one that is meant, of several. DeployerError where a file holds other things than its name says."""
    if file is not None and file.endswith(".gguf"):
        return _gguf_model(files, file)
    if file is not None:
        return _with_config(files, _config(files, file))
    sizes = files.sizes()
    ggufs = [name for name in sizes if name.endswith(".gguf") and "/" not in name and _is_first(name)]
    if ggufs and CONFIG not in sizes:
        return _gguf_model(files, _the_only(files.name, ggufs))
    shape, unread = _shape_there(files, sizes)
    weights = _weights(files, sizes, shape)
    if CONFIG not in sizes and weights is None:
        message = f"`{files.name}` holds no model: neither {CONFIG} nor a GGUF or safetensors file"
        raise DeployerError(Diagnostic("no-model-there", message, hint="name the folder that its weights are in"))
    if weights is None and shape is not None:
        return _with_config(files, shape)
    return SizedModel(files.name, shape, weights, unread)


def _with_config(files: ModelFiles, shape: ModelShape) -> SizedModel:
    return SizedModel(files.name, shape, stored_as_shaped(shape))


def _shape_there(files: ModelFiles, sizes: Mapping[str, int | None]) -> tuple[ModelShape | None, str]:
    """The shape, or why it is not known: there are models that are described in another way."""
    if CONFIG not in sizes:
        return None, f"there is no {CONFIG}"
    try:
        return parse_model_config(files.read(CONFIG, 0, MAX_CONFIG + 1)), ""
    except ValueError as error:
        return None, f"of its {CONFIG}, {error}"


def _config(files: ModelFiles, file: str) -> ModelShape:
    return _parsed(files, file, parse_model_config, files.read(file, 0, MAX_CONFIG + 1))


def _parsed(files: ModelFiles, file: str, parse: Callable[[bytes], Found], data: bytes) -> Found:
    try:
        return parse(data)
    except ValueError as error:  # FormatError, or a shape out of its bounds
        raise _bad_file(files, file, str(error)) from None


def _bad_file(files: ModelFiles, file: str, why: str) -> DeployerError:
    place = file if files.name.endswith(file) else f"{files.name}/{file}"
    message = f"`{place}` is not what its name says: {why}"
    return DeployerError(Diagnostic("bad-model-file", message, hint="fetch it again, or name another model"))


# --- safetensors -----------------------------------------------------------------


def _weights(files: ModelFiles, sizes: Mapping[str, int | None], shape: ModelShape | None) -> ModelWeights | None:
    """Of the headers of all files, where they are there; else of the index, else None."""
    total = None
    if INDEX in sizes:
        data = files.read(INDEX, 0, safetensors.MAX_INDEX + 1)
        index = _parsed(files, INDEX, safetensors.parse_index, data)
        names, total = index.files, index.total
    else:
        loose = [name for name in sizes if LOOSE.fullmatch(name)]
        names = (SINGLE,) if SINGLE in sizes else tuple(sorted(loose))
    if not names or len(names) > MOST_FILES or not sizes.keys() >= set(names):
        return _by_size(shape, total)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        headers = [*pool.map(partial(_header, files, sizes), names)]
    return named_weights((tensor for header in headers for tensor in header), shape)


def _by_size(shape: ModelShape | None, total: int | None) -> ModelWeights | None:
    if total is None:
        return None
    if shape is None:
        return ModelWeights(WeightParts(linear=total), "files")
    return scaled_to(stored_as_shaped(shape), total)


def _header(files: ModelFiles, sizes: Mapping[str, int | None], name: str) -> tuple[Tensor, ...]:
    first = files.read(name, 0, HEADER_READ)
    length = _parsed(files, name, safetensors.parse_header_length, first)
    end = safetensors.LENGTH_BYTES + length
    data = first[:end] if end <= len(first) else first + files.read(name, len(first), end - len(first))
    tensors = _parsed(files, name, safetensors.parse_header, data[safetensors.LENGTH_BYTES :])
    _check_size(files, name, sizes[name], end + sum(tensor.size for tensor in tensors))
    return tensors


def _check_size(files: ModelFiles, name: str, size: int | None, least: int) -> None:
    if size is not None and size < least:
        raise _bad_file(files, name, f"it is cut off, {size} bytes of {least} are there")


# --- GGUF -----------------------------------------------------------------


def _gguf_model(files: ModelFiles, file: str) -> SizedModel:
    sizes = files.sizes()
    headers = []
    for part in _parts_there(files, sizes, file):
        header = _gguf_header(files, part)
        _check_size(files, part, sizes[part], sum(tensor.size for tensor in header.tensors))
        headers.append(header)
    tensors = [tensor for header in headers for tensor in header.tensors]
    shape = _parsed(files, file, lambda _: gguf_shape(headers[0].metadata), b"")
    table = next((tensor.shape[-1] for tensor in tensors if tensor.name == "token_embd.weight" and tensor.shape), 0)
    tied = not any(tensor.name == "output.weight" for tensor in tensors)
    shape = replace(shape, vocabulary=shape.vocabulary or table, tied=tied)
    return SizedModel(files.name, shape, named_weights(tensors, shape))


def _parts_there(files: ModelFiles, sizes: Mapping[str, int | None], file: str) -> Iterator[str]:
    for part in split_parts(file):
        if part not in sizes:
            message = f"`{part}`, a part of `{file}`, is not there"
            raise DeployerError(Diagnostic("model-parts-missing", message, hint="put all parts into one folder"))
        yield part


def _gguf_header(files: ModelFiles, file: str) -> GgufHeader:
    """Reads on until the header ends."""
    data = files.read(file, 0, FIRST_READ)
    while True:
        header = _parsed(files, file, parse_gguf_header, data)
        if header is not None:
            return header
        more = files.read(file, len(data), min(3 * len(data), MOST_READ - len(data))) if len(data) < MOST_READ else b""
        if not more:
            raise _bad_file(files, file, f"its header does not end within {len(data)} bytes")
        data += more


def _is_first(name: str) -> bool:
    match = SPLIT.match(name)
    return match is None or int(match["part"]) == 1


def _the_only(name: str, ggufs: list[str]) -> str:
    if len(ggufs) == 1:
        return ggufs[0]
    message = f"`{name}` holds {len(ggufs)} GGUF models"
    hint = f"name one of them, as in `{name}/{sorted(ggufs)[0]}`"
    raise DeployerError(Diagnostic("ambiguous-model", message, evidence=tuple(sorted(ggufs)[:10]), hint=hint))
