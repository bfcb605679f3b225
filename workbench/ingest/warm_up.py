"""Compiling the kernels before the first sender waits for it: seconds on a new machine, then read from the cache."""

from __future__ import annotations

import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from workbench.ingest.byte_table import ByteTable
from workbench.ingest.otlp.decode import OtlpDecoder
from workbench.ingest.prometheus.prompb import WriteRequest
from workbench.ingest.prometheus.second import as_first
from workbench.ingest.prometheus.write import decode_write


def warm_up() -> None:
    """Run every kernel once, on requests of a sample each that go nowhere."""
    write = WriteRequest()
    write.timeseries.add().samples.add(value=1.0)
    decoded = decode_write(write.SerializeToString())
    as_first(b"\x22\x00\x2a\x06\x0a\x02\x00\x00\x12\x00", 1024)  # a symbol, a series with a label and a sample
    table = ByteTable(max_keys=1024, max_bytes=4096)
    for number in range(600):  # past the first growth
        table.put(np.array([8, number], np.uint64), number)
    table.find(decoded.words, decoded.starts)
    export = ExportMetricsServiceRequest()
    metrics = export.resource_metrics.add().scope_metrics.add().metrics
    metrics.add(name="m").gauge.data_points.add(as_int=1)
    points = OtlpDecoder().decode(export.SerializeToString())
    points.rows(np.array([0]), np.array([0]), np.array([1]))
