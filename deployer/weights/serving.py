"""A host serves a manifest's contents to others: what its peer container is made of and told. Runs nothing."""

from __future__ import annotations

import hashlib
import io
import posixpath
import shlex
import tarfile
from functools import cache
from pathlib import Path

from deployer.dataclass import dataclass
from deployer.formats.text import decoded
from deployer.values.container import ContainerSpec, Mount, PortBinding
from deployer.values.secrets import Secret
from deployer.values.weights import Manifest, blobs_of
from deployer.weights.script import STALL

IMAGE = "deployer-peer"  # made on the host itself, of one script, and tagged by it; the programs are the host's own
PORT = 8000  # inside
IDLE = 600  # seconds without a question, or a word of the controller, after which it ends by itself
NOBODY = "65534:65534"
MEMORY = 256 << 20
PLACES = ("/usr", "/bin", "/lib", "/lib64")

# What a host is asked: the address that the controller reaches it at, and which folders hold its programs. Under sudo
# only the processes above know of the connection.
LOOK = r"""
mkdir -p -- "$BLOBS" || exit 3
set -- ${SSH_CONNECTION:-}
pid=$$
while [ $# -lt 4 ] && [ "${pid:-1}" -gt 1 ]; do
    set -- $(tr '\0' '\n' </proc/$pid/environ 2>/dev/null | sed -n 's/^SSH_CONNECTION=//p')
    pid=$(sed -n 's/^PPid:[^0-9]*//p' /proc/$pid/status)
done
echo "address $3"
for place in /usr /bin /lib /lib64; do [ ! -d $place ] || echo "place $place"; done
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """What there is on a host to serve from."""

    address: str
    places: tuple[str, ...]


def look_script(folder: str) -> bytes:
    return f"umask 022\nBLOBS={shlex.quote(folder)}\n{LOOK}".encode("utf-8", "surrogateescape")


def parse_ground(output: bytes) -> Ground:
    """The address is empty where there is none that others could reach."""
    lines = [line.partition(" ") for line in decoded(output).split("\n")]
    found = [rest for word, _, rest in lines if word == "address"]
    address = found[0].partition("%")[0].removeprefix("::ffff:") if found else ""
    is_address = bool(address) and all(c in "0123456789abcdef.:" for c in address)
    is_public = is_address and not address.startswith("127.") and address != "::1"
    return Ground(address if is_public else "", tuple(rest for word, _, rest in lines if rest in PLACES))


def served_folder(cache_dir: str, manifest: Manifest) -> str:
    return posixpath.join(cache_dir, blobs_of(manifest.folder))


def peer_container(folder: str, port: int, ground: Ground) -> ContainerSpec:
    """It can read the folder and the host's programs, write nothing, and is reached at one address."""
    mounts = [Mount(place, place, read_only=True) for place in ground.places]
    return ContainerSpec(
        f"{IMAGE}:{image_tag()}",
        entrypoint=("/bin/sh", "/serve.sh", "listen"),
        env={
            "PATH": "/usr/bin:/bin:/usr/sbin",
            "PORT": str(PORT),
            "BLOBS": "/blobs",
            "RUN": "/run",
            "IDLE": str(IDLE),
            "WAIT": str(STALL // 3),
            "NVIDIA_VISIBLE_DEVICES": "void",  # where Docker's default runtime gives GPUs to all
        },
        ports=(PortBinding(PORT, port, ground.address),),
        mounts=(*mounts, Mount(folder, "/blobs", read_only=True)),
        tmpfs={"/run": "size=16m,mode=1777"},
        user=NOBODY,
        read_only=True,
        cap_drop=("ALL",),
        security_opt=("no-new-privileges", "label=disable"),
        memory=MEMORY,
        pids_limit=1024,
        restart="no",
        extra={"OpenStdin": True, "StdinOnce": True},
    )


def told(manifest: Manifest, token: Secret) -> bytes:
    """What its stdin says: from nowhere else could it be read."""
    files = dict.fromkeys(f"{file.blob} {file.size}" for file in manifest.files)
    return "\n".join((token.reveal(), *files, "end", "")).encode()


@cache
def image_archive() -> bytes:
    """The same at all times, so that a host has it once."""
    buffer, script = io.BytesIO(), Path(__file__).with_name("serve.sh").read_bytes()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("serve.sh")
        entry.size, entry.mode = len(script), 0o644
        tar.addfile(entry, io.BytesIO(script))
    return buffer.getvalue()


def image_layer() -> str:
    """What every image of that archive says of its one layer: the digest of the archive as it is, not compressed (OCI
    image specification, `rootfs.diff_ids`)."""
    return f"sha256:{hashlib.sha256(image_archive()).hexdigest()}"


def image_tag() -> str:
    return image_layer().removeprefix("sha256:")[:12]
