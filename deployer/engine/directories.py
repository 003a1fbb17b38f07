"""Makes directories of deployer's own on a host; their content is never touched."""

from __future__ import annotations

import shlex

from deployer.engine.context import Site, failed
from deployer.engine.lock import login_of
from deployer.values.transfers import MakeDirectory


def make_directory(operation: MakeDirectory, site: Site) -> str:
    path = operation.path
    done = site.transport.run(["mkdir", "-p", "-m", f"{operation.mode:04o}", "--", path], timeout=30.0)
    if done.exit_code == 0:
        return ""
    words = done.stderr.decode("utf-8", "replace")
    evidence = site.context.redactor.tail(words, 3)
    if "Permission denied" in words or "Operation not permitted" in words:
        command = f"sudo install -d -o {login_of(site.transport)} {shlex.quote(path)}"
        hint = f"run on the host: `{command}`, or set `become: sudo`"
        raise failed("directory-denied", f"directory `{path}` cannot be made: permission denied", hint, evidence)
    if "No space left" in words or "quota exceeded" in words:
        hint = "free space on the host, then apply again"
        raise failed("disk-full", f"directory `{path}` cannot be made: the disk is full", hint, evidence)
    if "Not a directory" in words or "File exists" in words:
        raise failed("not-a-directory", f"`{path}` is in the way of a directory", "move that file away", evidence)
    raise failed("directory-failed", f"directory `{path}` cannot be made", "correct `cache_dir`", evidence)
