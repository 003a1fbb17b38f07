"""What deployer is measured against: pyinfra, and Ansible with its collection for Docker, in a venv of their own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGES = ("pyinfra==3.10.0", "ansible-core==2.19.14", "requests==2.32.5")  # requests: community.docker, on the hosts
ANSIBLE = "ansible==12.3.0"  # carries the collections
COLLECTIONS = ("community/docker", "community/library_inventory_filtering_v1")


def install(folder: Path) -> Path:
    """The folder of their programs; installed by the first call."""
    programs = folder / "venv" / "bin"
    done = folder / "installed"
    wanted = "\n".join((*PACKAGES, ANSIBLE))
    if done.is_file() and done.read_text() == wanted:
        return programs
    print("installing pyinfra and Ansible into", folder, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder / "venv"], check=True)
    pip = [programs / "python", "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "install", *PACKAGES], check=True)
    with tempfile.TemporaryDirectory() as work:
        subprocess.run([*pip, "download", "--no-deps", "-d", work, ANSIBLE], check=True)
        (wheel,) = Path(work).glob("ansible-*.whl")
        unpack_collections(wheel, folder / "collections")
    subprocess.run(
        [programs / "python", "-m", "compileall", "-q", folder / "venv", folder / "collections"], check=False
    )
    done.write_text(wanted)
    return programs


def unpack_collections(wheel: Path, target: Path) -> None:
    starts = tuple(f"ansible_collections/{name}/" for name in COLLECTIONS)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target, [name for name in archive.namelist() if name.startswith(starts)])
