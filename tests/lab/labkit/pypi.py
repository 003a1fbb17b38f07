"""Real engines on a CPU, as container images made of PyPI's packages and this machine's libraries."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from labkit.cache import cache_dir
from labkit.hosts import SCRIPT, Lab, number
from labkit.images import PYTHON, python_files
from labkit.oci import libraries

TORCH = "torch==2.13.0+cpu"
CUDA_ONLY = ("torchvision", "torchaudio", "torchcodec")  # their CUDA builds break the import of transformers


def environment(name: str, packages: Sequence[str], finish: Callable[[Path], None] = lambda root: None) -> Path:
    """A virtual environment with PyTorch and the packages, kept between runs. CalledProcessError without them."""
    target = cache_dir() / name
    if not (target / "complete").exists():
        pip = [str(target / "bin" / "pip"), "--disable-pip-version-check"]
        _quiet([str(PYTHON), "-m", "venv", "--clear", str(target)])
        _quiet([*pip, "install", TORCH])
        _quiet([*pip, "install", *packages])
        _quiet([*pip, "uninstall", "-y", *CUDA_ONLY])
        finish(target)
        (target / "complete").touch()
    return target


def _quiet(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def put_image(lab: Lab, host: str, image: str, root: Path, entrypoint: str = "[]") -> None:
    """Imports the image into the host's Docker, streamed; does nothing where it is."""
    if lab.run(host, "docker", "images", "-q", image):
        return
    listing = cache_dir() / f"{root.name}-files.txt"
    listing.write_text("\n".join(sorted({os.path.normpath(path) for path in _files(root)})))
    changes = [f"ENV PATH={root}/bin:/usr/bin:/bin", f"ENTRYPOINT {entrypoint}", "WORKDIR /"]
    flags = [word for change in changes for word in ("--change", change)]
    tar = subprocess.Popen(["tar", "-C", "/", "-c", "-h", "--no-recursion", "-T", listing], stdout=subprocess.PIPE)
    lab_environment = lab.environment()
    command = [SCRIPT, "exec", str(number(host)), "docker", "import", *flags, "-", image]
    done = subprocess.run(command, stdin=tar.stdout, env=lab_environment, capture_output=True, text=True, check=False)
    assert tar.stdout is not None
    tar.stdout.close()
    if tar.wait() or done.returncode:
        raise RuntimeError(f"docker import failed: {done.stderr}")


def _files(root: Path) -> Iterator[str]:
    """All files of the image, relative to /: the environment, Python, their libraries, a shell and its tools."""
    extensions = []
    for path in root.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield str(path).lstrip("/")
            extensions += [path] if ".so" in path.name else []
    tools = [Path("/bin") / name for name in ("sh", "ls", "cat", "env", "uname", "lscpu", "ldconfig", "stat")]
    found = [tool for tool in tools if tool.exists()]
    yield from python_files()
    yield from libraries([*extensions, *found, PYTHON.resolve()])
    yield from (str(tool).lstrip("/") for tool in found)
    yield from ("etc/passwd", "etc/group", "usr/bin/python3", "tmp")
