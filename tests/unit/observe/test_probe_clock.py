"""How wrong a host's clock is at least."""

from __future__ import annotations

import pytest

from deployer.engine.probe_clock import clock_skew


@pytest.mark.parametrize(
    ("said", "skew"),
    [
        ("2026-01-01T00:00:10Z", 0),
        ("2026-01-01T00:00:09Z", 0),  # its second ends when ours begins
        ("2026-01-01T00:00:12Z", 0),
        ("2026-01-01T00:01:12Z", 60),
        ("2025-12-31T23:59:09Z", -60),
        ("1970-01-01T00:00:00Z", -1767225609),
        ("2026-01-01", None), ("", None), ("2026-13-01T00:00:00Z", None), ("99999-01-01T00:00:00Z", None),
    ],
)  # fmt: skip
def test_how_wrong_a_clock_is_at_least(said: str, skew: int | None) -> None:
    ten = 1767225610.0  # 2026-01-01T00:00:10Z
    assert clock_skew(said, ten, ten + 2) == skew
