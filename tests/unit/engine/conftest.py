"""What tests of single operations share: a host in memory with one image."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.fakeengine import FakeImage
from tests.support.fakehost import FakeHost


@pytest.fixture
def host() -> Iterator[FakeHost]:
    made = FakeHost()
    made.engine_state.images["stub:1"] = FakeImage("sha256:" + "1" * 64)
    yield made
    made.close()
