"""The engine: fed by a real writer, asked for tables, checkpointed."""

from __future__ import annotations

import dataclasses
import threading
from types import SimpleNamespace

import pyarrow as pa
import pytest
from prometheus_client import REGISTRY

from workbench import stream
from workbench.config import Settings
from workbench.errors import InputError
from workbench.schema import KINDS, TIME
from workbench.store import Appended, Identity, open_writer
from workbench.stream import StreamProcessor, processor

from .conftest import SECOND_US, START_US

NOW_SECONDS = START_US / SECOND_US + 100


def samples(series: int, *rows: tuple[float, float | None], stale: bool = False) -> pa.RecordBatch:
    """Samples (seconds after START_US, value) of one series."""
    found = [
        {"series": series, "time": int(START_US + at * SECOND_US), "type": 0, "value": value, "stale": stale}
        for at, value in rows
    ]
    return pa.RecordBatch.from_pylist(found, schema=KINDS["samples"].schema)


def appended(batch: pa.RecordBatch) -> SimpleNamespace:
    return SimpleNamespace(batches={"samples": batch})


def fate(name: str) -> float:
    return REGISTRY.get_sample_value("workbench_stream_samples_total", {"fate": name}) or 0.0


@pytest.fixture
def engine(settings: Settings) -> StreamProcessor:
    return StreamProcessor(settings, clock=lambda: NOW_SECONDS)


def test_what_a_writer_made_durable_is_in_the_windows(settings: Settings) -> None:
    one = Identity("otel", "x", "counter", "1", "cumulative", (), ())
    with open_writer(settings) as writer:
        engine = StreamProcessor(settings, clock=lambda: NOW_SECONDS, is_counter=lambda ids: ids == counter)
        heard: list[Appended] = []
        writer.add_listener(engine.consume)
        writer.add_listener(heard.append)
        counter, gauge = writer.register(
            [(one, "", ""), (dataclasses.replace(one, name="y", type="gauge"), "", "")], "test"
        )
        writer.append({"samples": samples(counter, (90, 10.0), (91, 12.0), (92, 17.0))}).result(30)
        writer.append({"samples": samples(gauge, (90, -1.0))}).result(30)
        table = engine.windows()
    assert table.column_names == [
        *("series", "window_seconds", "end_time", "count", "sum", "mean", "min", "max", "rate", "p50", "p95", "p99")
    ]
    assert table["end_time"].type == TIME
    minute = {row["series"]: row for row in table.to_pylist() if row["window_seconds"] == 60}
    assert (minute[counter]["count"], minute[counter]["sum"]) == (3, 39.0)
    assert minute[counter]["rate"] == pytest.approx(7 / 55)
    assert minute[gauge]["rate"] is None
    assert minute[counter]["p50"] == pytest.approx(12.0, rel=0.011)
    assert any("samples" in one.batches for one in heard)


def test_stale_markers_histograms_and_nulls_have_no_windows(engine: StreamProcessor) -> None:
    histogram = pa.RecordBatch.from_pylist(
        [{"series": 1, "time": START_US + 90 * SECOND_US, "type": 1}], schema=KINDS["samples"].schema
    )
    for batch in (samples(1, (91, 5.0)), samples(1, (92, 7.0), stale=True), samples(1, (93, None)), histogram):
        engine.consume(appended(batch))
    engine.consume(SimpleNamespace(batches={"events": None}))
    assert engine.windows([1])["count"].to_pylist() == [1] * 4


def test_an_append_that_comes_again_counts_once(engine: StreamProcessor) -> None:
    before = fate("taken")
    for _ in range(3):
        engine.consume(appended(samples(1, (90, 5.0), (91, 6.0))))
    assert engine.windows([1])["count"].to_pylist() == [2] * 4
    assert fate("taken") == before + 6


def test_lateness_is_the_setting(settings: Settings) -> None:
    strict = dataclasses.replace(settings, stream=dataclasses.replace(settings.stream, lateness_seconds=10))
    engine, before = StreamProcessor(strict, clock=lambda: NOW_SECONDS), fate("too_late")
    engine.consume(appended(samples(1, (85, 1.0), (90, 1.0), (95, 1.0))))
    assert engine.windows([1])["count"].to_pylist() == [2] * 4
    assert fate("too_late") == before + 1


def test_a_restored_engine_goes_on_and_counts_again_nothing(settings: Settings, engine: StreamProcessor) -> None:
    engine.consume(appended(samples(1, *[(at, float(at)) for at in range(100)])))
    data = engine.checkpoint()
    other = StreamProcessor(settings, clock=lambda: NOW_SECONDS)
    other.restore(data)
    other.consume(appended(samples(1, *[(at, float(at)) for at in range(100)])))
    assert other.windows().equals(engine.windows())
    for each in (engine, other):
        each.consume(appended(samples(1, (99.5, 3.0))))
    assert other.windows().equals(engine.windows())


@pytest.mark.parametrize("data", [b"", b"nonsense", b"PK\x03\x04torn"], ids=["empty", "other bytes", "torn"])
def test_other_bytes_are_refused_and_leave_the_state(engine: StreamProcessor, data: bytes) -> None:
    engine.consume(appended(samples(1, (99, 3.0))))
    with pytest.raises(InputError):
        engine.restore(data)
    assert engine.windows([1]).num_rows == 4


def test_over_the_queue_is_counted(engine: StreamProcessor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "QUEUE_SAMPLES", 3)
    before = fate("over_queue")
    engine.consume(appended(samples(1, (90, 1.0), (91, 1.0))))
    engine.consume(appended(samples(1, (92, 1.0), (93, 1.0))))
    assert engine.windows([1])["count"].to_pylist() == [2] * 4
    assert fate("over_queue") == before + 2


def test_a_clock_that_was_ahead_and_is_right_again_starts_anew(settings: Settings) -> None:
    now = [NOW_SECONDS + 86400]
    engine = StreamProcessor(settings, clock=lambda: now[0])
    assert engine.windows().num_rows == 0
    now[0] = NOW_SECONDS
    engine.consume(appended(samples(1, (99, 3.0))))
    assert engine.windows([1])["count"].to_pylist() == [1] * 4


def test_the_thread_takes_what_was_consumed_and_ends(settings: Settings) -> None:
    stepped = threading.Event()

    def clock() -> float:
        stepped.set()
        return NOW_SECONDS

    engine = StreamProcessor(settings, clock=clock)
    engine.consume(appended(samples(1, (99, 3.0))))
    before = fate("taken")
    engine.start()
    assert stepped.wait(20)
    engine.stop()  # after the step under way
    assert fate("taken") == before + 1
    assert "stream" not in {thread.name for thread in threading.enumerate()}


def test_the_face_names_what_is_there() -> None:
    assert all(hasattr(stream, name) for name in stream.__all__)
