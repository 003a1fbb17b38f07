"""The hosts that programs are run against: a lab of eight, a registry with the image, and the model on each."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lab"))

from labkit import models  # noqa: E402
from labkit.hosts import OPEN_PORT, Lab  # noqa: E402
from labkit.oci import Entry, Image, Link, layer, push  # noqa: E402

IMAGE = "registry.lab:5000/bench/server:1"
COUNT = 8
PREFIX, NETWORK = "bch", "10.97.0"
AT_REST = 3.0  # seconds that Docker clears up after its word
RESET = f"""
docker ps -aq --no-trunc | xargs -r docker rm -f -v >/dev/null
! docker image inspect {IMAGE} >/dev/null 2>&1 || docker rmi -f {IMAGE} >/dev/null
rm -rf /srv/bench /var/lib/deployer
"""


def server_image() -> Image:
    """busybox's `nc` and a script of some lines: it starts at once, so that what is measured is who starts it."""
    busybox = Path(shutil.which("busybox") or "/bin/busybox").resolve()
    entries: dict[str, Entry] = {"bin/busybox": busybox, "server.sh": HERE / "programs" / "server.sh"}
    entries |= {f"bin/{name}": Link("busybox") for name in ("sh", "head", "printf")}
    entrypoint = ["/bin/busybox", "nc", "-ll", "-p", "8080", "-e", "/server.sh"]
    return Image((layer(entries),), {"Entrypoint": entrypoint, "Env": ["PATH=/bin"]})


@contextmanager
def hosts(prefix: str = PREFIX, network: str = NETWORK) -> Iterator[Lab]:
    """The lab, up and furnished; taken down at the end."""
    os.environ["LAB_GPUS"] = str(HERE / "programs" / "no_gpus.json")  # nobody asks for any
    lab = Lab(prefix, network, COUNT)
    lab.up()
    try:
        push(server_image(), f"{network}.1:{OPEN_PORT}", IMAGE.removeprefix("registry.lab:5000/"))
        for host in lab.hosts:
            lab.put(host, "/srv/models/tiny.gguf", models.tiny_gguf())
        reset(lab)
        yield lab
    finally:
        lab.down()


def reset(lab: Lab) -> None:
    """No container, no image, no file of a deployment on any host, and nothing that still goes on because of that: what
    is measured next, whichever program it is, shares the processors with Docker alone."""
    with ThreadPoolExecutor(COUNT) as pool:
        list(pool.map(lambda host: lab.sh(host, RESET), lab.hosts))
    time.sleep(AT_REST)
