"""Identities, batches and a writer for the tests of the store."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence

import hypothesis
import numpy as np
import pyarrow as pa
import pytest

from workbench import config
from workbench.schema import KINDS
from workbench.store import Identity, View, Writer, open_writer

# Kernels compile on their first call, on a machine that others use too: no test is timed.
hypothesis.settings.register_profile("store", deadline=None)
hypothesis.settings.load_profile("store")

NOW_US = time.time_ns() // 1000


def identity(name: str, **attributes: str) -> Identity:
    return Identity("otel", name, "gauge", "1", "", (("service.name", "test"),), tuple(sorted(attributes.items())))


def sample_batch(series: Sequence[int], times_us: Sequence[int], values: Sequence[float]) -> pa.RecordBatch:
    """Float samples, the other columns null."""
    given = {
        "series": pa.array(series, pa.int64()),
        "time": pa.array(times_us, pa.int64()),
        "type": pa.array(np.zeros(len(series), np.int8)),
        "value": pa.array(values, pa.float64()),
    }
    schema = KINDS["samples"].schema
    columns = [given[f.name].cast(f.type) if f.name in given else pa.nulls(len(series), f.type) for f in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def event_batch(ids: Sequence[str], times_us: Sequence[int], subject: str = "") -> pa.RecordBatch:
    rows = [
        {"source": "/test", "id": id_, "type": "t", "time": at, "subject": subject}
        for id_, at in zip(ids, times_us, strict=True)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=KINDS["events"].schema)


def found(
    view: View, ids: Sequence[int], start_us: int = 0, end_us: int = 2**62, **more: str
) -> dict[int, list[tuple]]:
    """What a view answers, as series -> [(time, value), ...]."""
    got = view.samples(np.array(ids), start_us, end_us, **more)
    return {
        int(id_): list(zip(got.times_us[lo:hi].tolist(), got.values[lo:hi].tolist(), strict=True))
        for id_, lo, hi in zip(got.ids, got.offsets[:-1], got.offsets[1:], strict=True)
    }


def with_settings(settings: config.Settings, **sections: dict) -> config.Settings:
    """The same settings with some keys of some sections changed."""
    changed = {name: dataclasses.replace(getattr(settings, name), **keys) for name, keys in sections.items()}
    return dataclasses.replace(settings, **changed)


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Return once the condition holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.005)


@pytest.fixture
def writer(settings: config.Settings) -> Iterator[Writer]:
    with open_writer(settings) as made:
        yield made


def register(writer: Writer, *names: str, source: str = "token:1") -> list[int]:
    return writer.register([(identity(name), "", "") for name in names], source)
