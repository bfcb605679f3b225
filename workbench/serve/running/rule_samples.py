"""How samples of recording rules get into the log: as series of Prometheus' convention, like those of remote write."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from workbench.alert import Recorded
from workbench.schema import KINDS, STALE_NAN_BITS
from workbench.store import Identity, Writer

SOURCE = "rules"
_WAIT_SECONDS = 30


def rule_samples(writer: Writer) -> Callable[[Sequence[Recorded]], None]:
    """What the rules hand their samples to. It returns once they are durable and every question sees them.

    Raises Busy over `ingest.max_series`, StoreError, TimeoutError.
    """

    def write(samples: Sequence[Recorded]) -> None:
        ids = writer.register([(_identity(dict(one.labels)), "", "") for one in samples], SOURCE)
        writer.append({"samples": _batch(ids, samples)}).result(timeout=_WAIT_SECONDS)

    return write


def _identity(labels: dict[str, str]) -> Identity:
    name = labels.pop("__name__")
    return Identity("prometheus", name, "unknown", "", "", (), tuple(sorted(labels.items())))


def _batch(ids: Sequence[int], samples: Sequence[Recorded]) -> pa.RecordBatch:
    stale = np.array([one.stale for one in samples])
    bits = np.array([one.value for one in samples], np.float64).view(np.uint64)
    values = np.where(stale, np.uint64(STALE_NAN_BITS), bits).view(np.float64)
    columns = {
        "series": pa.array(np.asarray(ids, np.int64)),
        "time": pa.array([one.time_us for one in samples], pa.timestamp("us", tz="UTC")),
        "type": pa.array(np.zeros(len(samples), np.int8)),
        "value": pa.array(values, from_pandas=False),
        "stale": pa.array(stale),
    }
    schema = KINDS["samples"].schema
    arrays = [columns.get(field.name, pa.nulls(len(samples), field.type)) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
