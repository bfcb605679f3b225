"""The embedded engine: feeds what the hub has made durable to the window kernel, on a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from prometheus_client import Counter

from workbench import log
from workbench.config import Settings
from workbench.schema import TIME
from workbench.stream import checkpoint, sliding
from workbench.stream.kernel import Batch, Bounds, Counts

QUEUE_SAMPLES = 2_000_000
"""Samples that may wait for the kernel; beyond it new ones are left out of the windows, and counted."""

ROUND_SECONDS = 0.25
"""How long samples gather before a step: one step for many small appends costs less than one for each."""

SAMPLES = Counter("workbench_stream_samples", "Samples by what the window kernel did with them", ["fate"])

_log = log.get(__name__)


class Appended(Protocol):
    """What the store tells its listeners: batches by kind, in the order of the log."""

    @property
    def batches(self) -> Mapping[str, pa.RecordBatch]:
        """Kind -> rows of that kind's schema."""


class StreamProcessor:
    """Sliding windows over all series of this process. Thread-safe.

    `is_counter` says of series ids (int64[n]) which are counters (bool[n]); only these get a `rate`. Without it all
    do. `clock` gives seconds since 1970 UTC: it is the watermark, so one sender's wrong clock spoils nobody's windows.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        is_counter: Callable[[np.ndarray], np.ndarray] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._is_counter = is_counter
        self._state = sliding.initial(
            Bounds(
                lateness_us=settings.stream.lateness_seconds * sliding.SECOND_US,
                future_us=settings.ingest.accept_future_seconds * sliding.SECOND_US,
            )
        )
        self._kernel_lock = threading.Lock()  # guards _state; taken before _queue_lock
        self._queue_lock = threading.Lock()  # guards _queue and _queued; held for moments, by the committer too
        self._queue: list[pa.RecordBatch] = []
        self._queued = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread that steps the kernel."""
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; what waits stays for the next `windows` or `checkpoint`."""
        self._stopping.set()
        if self._thread:
            self._thread.join()

    def consume(self, appended: Appended) -> None:
        """Queue the samples of an append. Quick: it runs on the thread that made them durable."""
        batch = appended.batches.get("samples")
        if batch is None or not batch.num_rows:
            return
        with self._queue_lock:
            if self._queued + batch.num_rows > QUEUE_SAMPLES:
                SAMPLES.labels("over_queue").inc(batch.num_rows)
                return
            self._queue.append(batch)
            self._queued += batch.num_rows

    def windows(self, series_ids: Any = None, at_us: int | None = None) -> pa.Table:
        """The windows of these series (default all) that end at `at_us` (default now), for all consumed so far.

        Columns: series, window_seconds, end_time (UTC), count, sum, mean, min, max, rate (1/s; null unless a counter),
        p50, p95, p99 (relative error `sketch.RELATIVE_ERROR`). A series without samples in a window has no row there.
        """
        state = self.drain()
        found = sliding.windows(state, None if series_ids is None else np.asarray(series_ids), at_us)
        rate = pa.array(found.rate)
        if self._is_counter is not None and len(found.series):
            rate = pc.if_else(pa.array(self._is_counter(found.series)), rate, None)
        columns = {
            "series": found.series,
            "window_seconds": found.window_seconds,
            "end_time": pa.array(found.end_us).cast(TIME),
            "count": found.count,
            **{name: getattr(found, name) for name in ("sum", "mean", "min", "max")},
            "rate": rate,
            **{f"p{fraction * 100:.0f}": found.quantiles[:, i] for i, fraction in enumerate(sliding.QUANTILES)},
        }
        return pa.table(columns)

    def checkpoint(self) -> bytes:
        """All that the kernel knows, as bytes for `restore`."""
        return checkpoint.dump(self.drain())

    def restore(self, data: bytes) -> None:
        """Go on from a checkpoint. What is consumed again counts once. Raises InputError for other bytes."""
        state = checkpoint.load(data)
        with self._kernel_lock:
            self._state = state

    def drain(self) -> sliding.State:
        """Step the kernel with all that waits and move its watermark to now; the state after that."""
        with self._kernel_lock:
            with self._queue_lock:
                waiting, self._queue, self._queued = self._queue, [], 0
            now_us = int(self._clock() * 1e6)
            if now_us < self._state.closed_us:
                # The machine's clock was ahead and is right again: all that comes would be too late until it is there.
                _log.warning("clock_went_back", seconds=(self._state.watermark_us - now_us) / 1e6)
                self._state = sliding.initial(self._state.bounds)
            self._state, counts = sliding.step(self._state, _columns(waiting, now_us))
            _count(counts)
            return self._state

    def _run(self) -> None:
        while not self._stopping.wait(ROUND_SECONDS):
            try:
                self.drain()
            except Exception:
                _log.exception("stream_step_failed")


def _columns(batches: list[pa.RecordBatch], watermark_us: int) -> Batch:
    """Floats of the samples, in order of the log; staleness markers and native histograms have no windows."""
    empty = np.empty(0)
    parts = [(empty.astype(np.int64), empty.astype(np.int64), empty)]
    for batch in batches:
        stale = pc.fill_null(batch["stale"], False)
        floats = batch.filter(pc.and_(pc.equal(batch["type"], 0), pc.invert(stale)))
        values = floats["value"].to_numpy(zero_copy_only=False)
        parts.append((floats["series"].to_numpy(), floats["time"].cast(pa.int64()).to_numpy(), values))
    series, times_us, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Batch(series, times_us, values, watermark_us)


def _count(counts: Counts) -> None:
    for fate, number in vars(counts).items():
        if number:
            SAMPLES.labels(fate).inc(number)
