"""Golden files: whole outputs kept as text, rewritten only by `--update-golden` and reviewed as prose."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent

# no test fails because the machine is slow
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")

HEAVY_TIMEOUT = 3 * 3600  # seconds


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files with what is printed now")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("heavy"):
            item.add_marker(pytest.mark.timeout(HEAVY_TIMEOUT))


class Golden:
    """Compares text with a file under `tests/`; a missing file is a failure, not a pass."""

    def __init__(self, update: bool) -> None:
        self._update = update

    def check(self, path: str, text: str) -> None:
        file = TESTS / path
        if self._update:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert file.exists(), f"{path} is missing; run with --update-golden and read what it writes"
        assert text == file.read_text(encoding="utf-8"), f"{path} differs"


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(bool(request.config.getoption("--update-golden")))
