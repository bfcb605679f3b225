"""How samples of recording rules get into the log: as series of Prometheus' convention, like those of remote write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from workbench.alert import Recorded
from workbench.schema import KINDS, STALE_NAN_BITS
from workbench.store import Identity, Writer

SOURCE = "rules"
NATIVE = "native_histogram"
"""Type of the series that holds a label set's native histograms, as remote write has it."""
_WAIT_SECONDS = 30


def rule_samples(writer: Writer) -> Callable[[Sequence[Recorded]], None]:
    """What the rules hand their samples to. It returns once they are durable and every question sees them.

    Raises Busy over `ingest.max_series`, StoreError, TimeoutError.
    """

    def write(samples: Sequence[Recorded]) -> None:
        found = [(identity, one) for one in samples for identity in _identities(writer, one)]
        ids = writer.register([(identity, "", "") for identity, _ in found], SOURCE)
        native = [identity.type == NATIVE for identity, _ in found]
        writer.append({"samples": _batch(ids, native, [one for _, one in found])}).result(timeout=_WAIT_SECONDS)

    return write


def _identities(writer: Writer, sample: Recorded) -> list[Identity]:
    """The series that a sample belongs to: floats and native histograms of the same labels lie in two.

    What ends does so in each that is there.
    """
    labels = dict(sample.labels)
    name, others = labels.pop("__name__"), tuple(sorted(labels.items()))
    of_floats, of_histograms = (Identity("prometheus", name, kind, "", "", (), others) for kind in ("unknown", NATIVE))
    if sample.stale:
        there = [one for one in (of_floats, of_histograms) if writer.view.registry.find(one) is not None]
        return there or [of_floats]
    return [of_histograms if isinstance(sample.value, Mapping) else of_floats]


def _batch(ids: Sequence[int], native: Sequence[bool], samples: Sequence[Recorded]) -> pa.RecordBatch:
    stale = np.array([one.stale for one in samples])
    bits = np.array([0.0 if isinstance(one.value, Mapping) else one.value for one in samples], np.float64)
    values = np.where(stale, np.uint64(STALE_NAN_BITS), bits.view(np.uint64)).view(np.float64)
    schema = KINDS["samples"].schema
    histograms = [one.value if isinstance(one.value, Mapping) else None for one in samples]
    columns = {
        "series": pa.array(np.asarray(ids, np.int64)),
        "time": pa.array([one.time_us for one in samples], pa.timestamp("us", tz="UTC")),
        "type": pa.array(native).cast(pa.int8()),
        "value": pa.array(values, mask=np.array(native), from_pandas=False),
        "histogram": pa.array(histograms, schema.field("histogram").type),
        "stale": pa.array(stale),
    }
    arrays = [columns.get(field.name, pa.nulls(len(samples), field.type)) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
