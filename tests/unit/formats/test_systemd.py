"""A unit file whose words arrive as they were written, and times as hosts write them."""

from __future__ import annotations

import pytest

from deployer.formats.systemd import MARK, unit_text
from deployer.formats.times import seconds_of


def test_a_unit_quotes_what_systemd_would_read_otherwise() -> None:
    text = unit_text(
        "demo", ["/usr/bin/python3", "-f", 'a b"$HOME%h\\.yaml'], "/srv/100% spec", {"PATH": "/bin:/x y$%"}
    )
    assert text.startswith(MARK + "\n[Unit]\n")
    assert 'ExecStart="/usr/bin/python3" "-f" "a b\\"$$HOME%%h\\\\.yaml"\n' in text
    assert "WorkingDirectory=/srv/100%% spec\n" in text
    assert 'Environment="PATH=/bin:/x y$%%"\n' in text
    assert "EnvironmentFile=-%E/deployer/watch-demo.env\n" in text


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("1970-01-01T00:01:00Z", 60),
        ("2026-01-01T00:00:10.123456789Z", 1767225610),
        ("", None),
        ("yesterday", None),
        ("9999-99-99T99:99:99Z", None),
    ],
)
def test_times(time: str, seconds: int | None) -> None:
    assert seconds_of(time) == seconds
