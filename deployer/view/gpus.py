"""GPUs as words short enough for a line."""

from __future__ import annotations

from collections.abc import Iterable

UUID_SHOWN = len("GPU-5f3c1a2b")


def render_gpus(gpus: Iterable[str]) -> str:
    """GPUs by the first digits of their UUIDs, which is enough to tell those of a host apart."""
    return ", ".join(gpu[:UUID_SHOWN] if gpu.startswith(("GPU-", "MIG-")) and len(gpu) == 40 else gpu for gpu in gpus)
