"""The workbench of the run: its home is filled in one go, compacted and indexed; then it starts as for anybody."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.tsbs.data import Load, labels, slices
from workbench import config
from workbench.schema import KINDS
from workbench.store import Identity, Lake, build_index, compact, open_writer, update_rollups

_STEP_ROWS = 4_000_000


def fill(home: Path, loads: list[Load]) -> dict[str, float]:
    """Load data sets into a new home; seconds that loading, compaction and index took."""
    settings = config.load(home, environ={})
    begun = time.monotonic()
    with open_writer(settings) as writer:
        for number, load in enumerate(loads):
            members = [
                (Identity("prometheus", name, "unknown", "", "", (), tuple(sorted(labels(host).items()))), "", "")
                for name in load.names
                for host in range(load.hosts)
            ]
            ids = np.array(writer.register(members, "import:tsbs"), np.int64).reshape(load.metrics, load.hosts)
            minutes = max(_STEP_ROWS * load.step_seconds // (load.hosts * load.metrics * 60), 20)
            for step, part in enumerate(slices(load, minutes), start=1):
                writer.load(f"tsbs-{number}", step, {"samples": _batch(ids, part.times_us, part.values, part.present)})
    loaded = time.monotonic()
    now_us = time.time_ns() // 1000
    lake = Lake(settings)
    compact(lake, now_us, everything=True)
    lake.refresh()
    compacted = time.monotonic()
    build_index(lake, now_us)
    indexed = time.monotonic()
    update_rollups(lake, now_us)  # else `keeper` makes them while we measure
    spent = {"load": loaded - begun, "compaction": compacted - loaded, "index": indexed - compacted}
    return spent | {"roll-ups": time.monotonic() - indexed}


def _batch(ids: np.ndarray, times_us: np.ndarray, values: np.ndarray, present: np.ndarray) -> pa.RecordBatch:
    metrics = len(values)
    there = np.broadcast_to(present, values.shape)
    columns = {
        "series": np.broadcast_to(ids[:, :, None], values.shape)[there],
        "time": np.broadcast_to(times_us, (metrics, *times_us.shape))[there],
        "value": values[there],
    }
    count = len(columns["value"])
    columns["type"] = np.zeros(count, np.int8)
    schema = KINDS["samples"].schema
    arrays = [pa.array(columns[f.name]).cast(f.type) if f.name in columns else pa.nulls(count, f.type) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def bytes_a_sample(home: Path) -> dict[str, float]:
    """Bytes of the lake's sample files, and of the index, for each sample."""
    settings = config.load(home, environ={})
    lake = Lake(settings)
    files = lake.newest_files("samples")
    samples = sum(file.rows for file in files)
    index = sum(path.stat().st_size for path in (home / "index").rglob("*") if path.is_file())
    return {
        "lake": sum(file.size_bytes for file in files) / samples,
        "index": index / samples,
        "samples": float(samples),
    }
