"""The hub's own counters as series of the lake, so that what was refused is seen where everything else is seen."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
from prometheus_client import REGISTRY, CollectorRegistry

from workbench.schema import KINDS
from workbench.store import Identity, Writer

LABELS = {"job": "workbench", "instance": "hub"}
PREFIX = "workbench_"
SOURCE = "workbench"


class OwnMetrics:
    """Writes every `workbench_*` sample of a registry of `prometheus_client`, as a scrape would give it."""

    def __init__(self, writer: Writer, registry: CollectorRegistry = REGISTRY) -> None:
        self._writer = writer
        self._registry = registry
        self._ids: dict[Identity, int] = {}

    def record(self) -> None:
        """Write the present values once. Raises what the writer raises."""
        now_us = time.time_ns() // 1000
        values: dict[Identity, float] = {}
        helps: dict[Identity, str] = {}
        for family in self._registry.collect():
            if not family.name.startswith(PREFIX):
                continue
            for sample in family.samples:
                if sample.name.endswith("_created"):
                    continue
                labels = tuple(sorted({**sample.labels, **LABELS}.items()))
                identity = Identity("prometheus", sample.name, family.type, "", "", (), labels)
                values[identity], helps[identity] = sample.value, family.documentation
        new = [identity for identity in values if identity not in self._ids]
        if new:
            ids = self._writer.register([(identity, helps[identity], "") for identity in new], SOURCE)
            self._ids.update(zip(new, ids, strict=True))
        self._writer.append({"samples": float_batch([self._ids[one] for one in values], now_us, list(values.values()))})


def float_batch(ids: list[int], now_us: int, values: list[float]) -> pa.RecordBatch:
    """A float sample of each series at one time, as a batch of `samples`."""
    given = {
        "series": pa.array(ids, pa.int64()),
        "time": pa.array(np.full(len(ids), now_us)),
        "type": pa.array(np.zeros(len(ids), np.int8)),
        "value": pa.array(values, pa.float64()),
    }
    schema = KINDS["samples"].schema
    columns = [given[f.name].cast(f.type) if f.name in given else pa.nulls(len(ids), f.type) for f in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
