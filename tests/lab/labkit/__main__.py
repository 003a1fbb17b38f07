"""Fills the cache, registries and this machine's Docker.

python -m labkit server                             compile llama-server into the cache
python -m labkit models                             all small models into the cache
python -m labkit images REGISTRY PRIVATE [TAG...]   push the lab's images; tags for the vLLM stand-in
python -m labkit load NAME                          llama.cpp's image into this machine's Docker
python -m labkit smollm2 FILE                       SmolLM2-135M-Instruct as a GGUF file
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from labkit import cache, images, models, oci


def main(arguments: list[str]) -> int:
    match arguments:
        case ["server"]:
            print(cache.llama_server())
        case ["models"]:
            for name, path in models.all_models().items():
                print(f"{name:16} {path}")
        case ["images", registry, private, *tags]:
            print("\n".join(images.push_all(registry, private, tuple(tags))) or "all there")
        case ["load", name]:
            with tempfile.TemporaryDirectory() as work:
                oci.save(images.llama_cpp(), name, Path(work) / "image.tar")
                subprocess.run(["docker", "load", "-i", f"{work}/image.tar"], check=True)
        case ["smollm2", target]:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            with cache.written_beside(Path(target)) as beside:
                shutil.copy(cache.smollm2(), beside)
        case _:
            print(__doc__, file=sys.stderr)
            return 64
    return 0


sys.exit(main(sys.argv[1:]))
