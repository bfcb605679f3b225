"""A receiver that lives as long as a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.collect.receiver import OtlpReceiver


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """A tiny OTLP receiver on a free loopback port."""
    found = OtlpReceiver()
    yield found
    found.close()
