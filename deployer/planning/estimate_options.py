"""Types of weights and caches that a server does not know, whatever GPUs it gets."""

from __future__ import annotations

from collections.abc import Iterator

from deployer.backends.base import Flag, InTemplate, Refused
from deployer.errors import Diagnostic
from deployer.planning.estimate_request import Serving

OF_LLAMA_CPP = ("f32", "f16", "q8_0", "q5_0", "q5_1", "q4_0", "q4_1", "iq4_nl")  # types of a cache


def refused_values(serving: Serving) -> Iterator[Diagnostic]:
    backend = serving.backend
    given = {"dtype": serving.dtype, "quantization": serving.quantization, "kv_cache_dtype": serving.kv_dtype}
    for option, value in given.items():
        mapping = backend.options[option]
        if value is None or (isinstance(mapping, Refused) and value in mapping.unless):
            continue
        known = mapping.values if isinstance(mapping, Flag | InTemplate) else None
        batch = backend.memory is not None and backend.memory.works == "batch"
        of_another = option == "kv_cache_dtype" and batch and value in OF_LLAMA_CPP
        if isinstance(mapping, Refused) or (known is not None and value not in known) or of_another:
            why = f": {mapping.reason}" if isinstance(mapping, Refused) else ""
            message = f"`{backend.name}` does not take `{option}` {value}{why}"
            hint = f"leave `{option}` out" + (f", or take one of {', '.join(sorted(known)[:12])}" if known else "")
            yield Diagnostic("value-refused", message, hint=hint)
