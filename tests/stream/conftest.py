"""Samples for the tests of the kernel."""

from __future__ import annotations

from collections.abc import Sequence

import hypothesis
import numpy as np

from workbench.stream import Batch

hypothesis.settings.register_profile("stream", deadline=None, max_examples=40)
hypothesis.settings.load_profile("stream")

SECOND_US = 1_000_000
START_US = 1_700_000_100 * SECOND_US
"""A whole multiple of 5 minutes, so of the width of every pane."""


def batch(rows: Sequence[tuple[int, float, float]], watermark_seconds: float) -> Batch:
    """(series, seconds after START_US, value) rows as a batch; the watermark is seconds after START_US too."""
    series, seconds, values = zip(*rows, strict=True) if rows else ((), (), ())
    return Batch(
        np.array(series, np.int64),
        START_US + (np.array(seconds, np.float64) * SECOND_US).astype(np.int64),
        np.array(values, np.float64),
        START_US + int(watermark_seconds * SECOND_US),
    )
