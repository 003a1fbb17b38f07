"""Kills every process of a lab host but its pid 1 and the `sleep` that this waits for. Run inside the host."""

import contextlib
import os
import pathlib
import signal
import time


def others():
    for entry in pathlib.Path("/proc").iterdir():
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            idles = parent == "1" and (entry / "cmdline").read_bytes() == b"sleep\0infinity\0"
        except (OSError, ValueError):
            continue  # no process, or one that has ended
        if entry.name.isdigit() and int(entry.name) not in (1, os.getpid()) and state != "Z" and not idles:
            yield int(entry.name)


deadline = time.monotonic() + 20
while (left := list(others())) and time.monotonic() < deadline:
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    time.sleep(0.05)
raise SystemExit(f"still there: {left}" if left else 0)
