"""A folder of a file server that several hosts have: one filesystem in memory, mounted in each of them under the name
that an NFS client would show. Locks and renames are seen by all, as NFS's are."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from labkit.hosts import Lab, number

OPEN_TREE, MOVE_MOUNT = 428, 429  # system calls, since Linux 5.2
CLONE, EMPTY_PATH, HERE, NEW_MOUNTS = 1, 4, -100, 0x20000


@contextmanager
def file_server(lab: Lab, folder: Path, name: str, hosts: Sequence[str], mount: str) -> Iterator[None]:
    """`name`: as `nas.lab:/models`. `folder`: of this machine, where it is mounted too."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m,mode=755", name, folder], check=True, timeout=30)
    try:
        for host in hosts:
            pid = lab.script("pid", str(number(host))).strip()
            lab.sh(host, f"mkdir -p {mount}")
            subprocess.run([sys.executable, __file__, folder, pid, mount], check=True, timeout=30, env=_path())
        yield
    finally:
        for host in hosts:
            lab.sh(host, f"umount -l {mount}", check=False)
        subprocess.run(["umount", "-l", folder], check=True, timeout=30)


def _path() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}


def attach(folder: str, pid: str, mount: str) -> None:
    """In a process of its own, which does not come back from the other host's mounts."""
    libc = ctypes.CDLL(None, use_errno=True)
    tree = checked(libc.syscall(OPEN_TREE, HERE, folder.encode(), CLONE))
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    checked(libc.setns(namespace, NEW_MOUNTS))
    checked(libc.syscall(MOVE_MOUNT, tree, b"", HERE, mount.encode(), EMPTY_PATH))


def checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


if __name__ == "__main__":
    attach(*sys.argv[1:])
