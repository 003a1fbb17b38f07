"""The lab's images: a real llama.cpp server, busybox, stand-ins for servers that misbehave, a stand-in for vLLM."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from labkit.cache import llama_server
from labkit.oci import Entry, Folder, Image, Link, layer, libraries, push

HERE = Path(__file__).resolve().parent.parent
PYTHON = Path("/usr/bin/python3")  # Debian's and Ubuntu's own
PASSWD: dict[str, Entry] = {
    "etc/passwd": "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    "tmp": Folder(0o1777),
}
APPLETS = ("sh", "ls", "cat", "ps", "env", "wget", "sleep", "df", "nproc", "id", "stat", "grep", "touch", "tail")
HOSTILE_LABELS = {  # an image may say what it likes: it does not make its containers ours
    "deployer.project": "lab", "deployer.id": "", "deployer.service": "chat", "deployer.replica": "0",
    "deployer.member": "0", "deployer.role": "replica", "deployer.revision": "0" * 12, "deployer.version": "0.1.0",
}  # fmt: skip


def llama_cpp() -> Image:
    """What ghcr.io/ggml-org/llama.cpp:server is: /app/llama-server as entrypoint, listening on 0.0.0.0:8080."""
    server = llama_server()
    os.chmod(server, 0o755)  # noqa: PTH101
    return Image(
        (layer({**_busybox(), **libraries([server]), "app/llama-server": server, "models": Folder()}),),
        {
            "Entrypoint": ["/app/llama-server"],
            "WorkingDir": "/app",
            "Env": ["LLAMA_ARG_HOST=0.0.0.0", "PATH=/app:/bin"],
            "Healthcheck": {"Test": ["CMD", "wget", "-q", "-O", "-", "http://localhost:8080/health"]},
        },
    )


def busybox(labels: Mapping[str, str] | None = None) -> Image:
    config = {"Cmd": ["sh"], "Env": ["PATH=/bin"], "Labels": dict(labels or {})}
    return Image((layer(_busybox()),), config)


def stand_in() -> Image:
    """A server with llama-server's flags that fails as `STANDIN_MODE` in its environment says."""
    return Image(
        (layer({**python_files(), **_busybox()}), layer({"app/server.py": HERE / "standin" / "server.py"})),
        {"Entrypoint": ["/usr/bin/python3", "/app/server.py"], "Env": ["PATH=/usr/bin:/bin"], "WorkingDir": "/app"},
    )


def bulky(megabytes: int) -> Image:
    """The stand-in with a layer on top that takes time to pull, and cannot be compressed."""
    image = stand_in()
    noise = layer({"opt/noise": random.Random(megabytes).randbytes(megabytes << 20)})
    return Image((*image.layers, noise), image.config)


def vllm_stand_in() -> Image:
    """Speaks vLLM's HTTP and refuses flags that vLLM does not have."""
    image = stand_in()
    return Image(image.layers, {**image.config, "Entrypoint": ["/usr/bin/python3", "/app/server.py", "--as-vllm"]})


def ollama_stand_in() -> Image:
    """What ollama/ollama is: its program as entrypoint, which serves."""
    program = layer({"bin/ollama": HERE / "standin" / "ollama.py", "root/.ollama": Folder()})
    config = {"Entrypoint": ["/bin/ollama"], "Cmd": ["serve"], "Env": ["PATH=/usr/bin:/bin", "OLLAMA_HOST=0.0.0.0"]}
    return Image((*stand_in().layers[:1], program), config)


def xinference_stand_in() -> Image:
    """What xprobe/xinference is: a Python and `xinference-local` in it, which nothing starts by itself."""
    program = layer({"usr/bin/xinference-local": HERE / "standin" / "xinference.py"})
    return Image((*stand_in().layers[:1], program), {"Cmd": ["sh"], "Env": ["PATH=/usr/bin:/bin"]})


def push_all(registry: str, private: str, vllm_tags: tuple[str, ...]) -> list[str]:
    """Pushes to the open registry, and llama.cpp to the one with a password too; returns what was new."""
    llama = llama_cpp()
    vllm = vllm_stand_in()
    wanted = {
        "ggml-org/llama.cpp:server": llama, "library/busybox:1": busybox(), "lab/stand-in:1": stand_in(),
        "lab/labelled:1": busybox(HOSTILE_LABELS), "ollama/ollama:0.32.15": ollama_stand_in(),
        "xprobe/xinference:v4.1.0-cpu": xinference_stand_in(),
        **{f"vllm/vllm-openai:{tag}": vllm for tag in vllm_tags},
    }  # fmt: skip
    pushed = [name for name, image in wanted.items() if push(image, registry, name)]
    login = ("lab", "lab")
    return pushed + [f"private {n}" for n in ("ggml-org/llama.cpp:server",) if push(llama, private, n, login)]


def _busybox() -> dict[str, Entry]:
    found = shutil.which("busybox") or "/bin/busybox"
    links: dict[str, Entry] = {f"bin/{applet}": Link("busybox") for applet in APPLETS}
    return {"bin/busybox": Path(found).resolve(), **links, **PASSWD}


def python_files() -> dict[str, Entry]:
    """This machine's own Python with most of its standard library."""
    ask = "import json, sysconfig; print(json.dumps([sysconfig.get_path('stdlib'), sysconfig.get_python_version()]))"
    stdlib, version = json.loads(subprocess.run([PYTHON, "-I", "-c", ask], capture_output=True, check=True).stdout)
    skip = {"test", "idlelib", "lib2to3", "ensurepip", "tkinter", "turtledemo", "dist-packages", "pydoc_data"}
    files: dict[str, Entry] = {}
    for path in Path(stdlib).rglob("*"):
        inside = path.relative_to(stdlib).parts
        if path.is_file() and not (set(inside) & skip) and not inside[0].startswith("config-"):
            files[str(path).lstrip("/")] = path.resolve()
    binary = PYTHON.resolve()
    name = f"usr/bin/python{version}"
    extensions = list(Path(stdlib, "lib-dynload").glob("*.so"))
    return {**files, **libraries([binary, *extensions]), name: binary, "usr/bin/python3": Link(Path(name).name)}
