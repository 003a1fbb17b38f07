"""Sizes and durations as people read them."""

from __future__ import annotations

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def render_bytes(count: float) -> str:
    """`1.5 GiB`; powers of 1024."""
    unit = 0
    while abs(count) >= 1024 and unit < len(UNITS) - 1:
        count, unit = count / 1024, unit + 1
    digits = 0 if unit == 0 or count >= 100 else 1
    return f"{count:.{digits}f}".removesuffix(".0") + f" {UNITS[unit]}"


def render_seconds(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3m 05s`, `2h 00m`."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def counted(count: int, thing: str) -> str:
    """`1 host`, `2 hosts`, `1 replica`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
