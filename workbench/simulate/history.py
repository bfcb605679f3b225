"""The platform's past as batches of `samples`, one row per series and five minutes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from workbench.schema import KINDS, TIME
from workbench.simulate.grid import CELL_US, month_start_us
from workbench.simulate.platform import Platform


def samples(platform: Platform, ids: np.ndarray, start_us: int, end_us: int) -> pa.RecordBatch:
    """Batch of `samples` of all series at five minutes, both ends inclusive; sorted by series, then time.

    `ids` are the series' ids in the order of `platform.series`. Counters and histograms carry their start time.
    """
    times_us = np.arange(start_us, end_us + 1, CELL_US)
    values = platform.values(times_us)
    order = np.argsort(ids)
    starts_us = np.array([month_start_us(int(time_us)) for time_us in times_us])
    gauge = np.array([series.metric.type == "gauge" for series in platform.series])[order]
    count = len(ids) * len(times_us)
    columns: Mapping[str, Any] = {
        "series": pa.array(np.repeat(ids[order], len(times_us))),
        "time": pa.array(np.tile(times_us, len(ids))).view(TIME),
        "type": pa.array(np.zeros(count, np.int8)),
        "value": pa.array(values[order].ravel()),
        "stale": pa.array(np.zeros(count, bool)),
        "start_time": pa.array(np.tile(starts_us, len(ids)), mask=np.repeat(gauge, len(times_us))).view(TIME),
    }
    schema = KINDS["samples"].schema
    missing = {field.name: pa.nulls(count, field.type) for field in schema if field.name not in columns}
    return pa.RecordBatch.from_arrays([{**columns, **missing}[field.name] for field in schema], schema=schema)
