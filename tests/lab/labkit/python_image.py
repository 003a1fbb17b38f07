"""Container images made of a virtual environment with PyPI's packages and this machine's libraries."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from labkit.cache import cache_dir
from labkit.hosts import SCRIPT, Lab, number
from labkit.images import PYTHON, python_files
from labkit.oci import libraries

TORCH = "torch==2.13.0+cpu"
CUDA_ONLY = ("torchvision", "torchaudio", "torchcodec")  # their CUDA builds break the import of transformers


@dataclass(frozen=True, slots=True)
class PythonImage:
    """`packages` are installed one group after the other; `finish` has the last word on the environment."""

    name: str
    version: str
    packages: tuple[tuple[str, ...], ...]
    entrypoint: tuple[str, ...]
    finish: Callable[[Path], None] = lambda root: None

    @property
    def image(self) -> str:
        return f"{self.name}-on-cpu:{self.version}"

    @property
    def root(self) -> Path:
        return cache_dir() / f"{self.name}-{self.version}"


def environment(made: PythonImage) -> Path:
    """The virtual environment; minutes and gigabytes where the cache has none, or one of other packages.
    CalledProcessError without packages."""
    root, whole = made.root, "\n".join(" ".join(group) for group in made.packages)
    marker = root / "complete"
    if not marker.exists() or marker.read_text() != whole:
        pip = [str(root / "bin" / "pip"), "--disable-pip-version-check"]
        quiet([str(PYTHON), "-m", "venv", "--clear", str(root)])
        for group in made.packages:
            quiet([*pip, "install", *group])
        made.finish(root)
        marker.write_text(whole)
    return root


def without_cuda(root: Path) -> None:
    quiet([str(root / "bin" / "pip"), "uninstall", "-y", *CUDA_ONLY])


def quiet(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def put_image_or_skip(lab: Lab, host: str, made: PythonImage) -> None:
    """Skips where the packages are not to be had; in CI that is a failure."""
    try:
        environment(made)
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
        reason = f"the packages of {made.name} are not to be had: {said}"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    put_image(lab, host, made)


def put_image(lab: Lab, host: str, made: PythonImage) -> None:
    """Imports the image into the host's Docker, streamed; does nothing where it is."""
    if lab.run(host, "docker", "images", "-q", made.image):
        return
    root = environment(made)
    listing = cache_dir() / f"{made.name}-files.txt"
    listing.write_text("\n".join(sorted({os.path.normpath(path) for path in _files(root)})))
    environment_lines = f"PATH={root}/bin:/usr/bin:/bin"
    changes = [f"ENV {environment_lines}", f"ENTRYPOINT {json.dumps(made.entrypoint)}", "WORKDIR /"]
    flags = [word for change in changes for word in ("--change", change)]
    tar = subprocess.Popen(["tar", "-C", "/", "-c", "-h", "--no-recursion", "-T", listing], stdout=subprocess.PIPE)
    lab_environment = lab.environment()
    command = [SCRIPT, "exec", str(number(host)), "docker", "import", *flags, "-", made.image]
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
