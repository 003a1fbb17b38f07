"""A hub on loopback, for huggingface_hub and curl."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.hub import Hub
from tests.support.hub import hub as running_hub


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as made:
        yield made
