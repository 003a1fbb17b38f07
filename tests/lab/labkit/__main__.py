"""`python -m labkit server | models | images REGISTRY PRIVATE [VLLM_TAG...] | seed`: fills cache, registries, hosts."""

from __future__ import annotations

import sys

from labkit import cache, images, models


def main(arguments: list[str]) -> int:
    match arguments:
        case ["server"]:
            print(cache.llama_server())
        case ["models"]:
            for name, path in models.all_models().items():
                print(f"{name:16} {path}")
        case ["images", registry, private, *tags]:
            print("\n".join(images.push_all(registry, private, tuple(tags))) or "all there")
        case _:
            print(__doc__, file=sys.stderr)
            return 64
    return 0


sys.exit(main(sys.argv[1:]))
