"""What a model is made of, by the beginning of one of its files: so that a plan can tell whether it fits before it is
fetched. Whatever cannot be read is not known."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from deployer.dataclass import replace
from deployer.errors import OperationError
from deployer.formats.gguf_parts import SPLIT
from deployer.formats.model_files import GGUF_START, MAX_CONFIG, config_says, gguf_says
from deployer.values.weights import Listing, WeightFile
from deployer.weights.access import Access
from deployer.weights.rest import ask

Read = Callable[[WeightFile, int], bytes]  # so many bytes of a file from its beginning; OperationError, OSError


def with_shape(listing: Listing, read: Read) -> Listing:
    files = {file.path: file for file in listing.files}
    config, gguf = files.get("config.json"), _smallest_gguf(listing)
    said = {}
    with suppress(OperationError, OSError):
        if gguf is not None:
            said = gguf_says(read(gguf, GGUF_START))
        elif config is not None and config.size <= MAX_CONFIG:
            said = config_says(read(config, MAX_CONFIG))
    known = {name: value for name, value in said.items() if value is not None}
    return replace(listing, **known)


def _smallest_gguf(listing: Listing) -> WeightFile | None:
    """Of a repository of GGUF alone; all quantizations have one shape."""
    if any(f.path.endswith(".safetensors") for f in listing.files):
        return None
    ggufs = [f for f in listing.files if f.path.endswith(".gguf") and "mmproj" not in f.path.lower()]
    first = [f for f in ggufs if (m := SPLIT.match(f.path)) is None or int(m["part"]) == 1]
    return min(first, key=lambda f: (f.size, f.path), default=None)


def from_web(access: Access | None) -> Read:
    def read(file: WeightFile, most: int) -> bytes:
        last = min(most, file.size) - 1
        answer = ask(file.url, access, headers={"Range": f"bytes=0-{last}"}, most=most)
        return answer.body if answer.status in (200, 206) else b""

    return read


def from_disk(file: WeightFile, most: int) -> bytes:
    with Path(file.url).open("rb") as content:
        return content.read(most)
