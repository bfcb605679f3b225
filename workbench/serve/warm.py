"""Compile every numba kernel once, so that no user waits for it: `python -m workbench.serve.warm FOLDER`.

The installer runs it; a new home begins with a copy of what it compiled. A small workbench lives through a whole life
here (receive, seal, follow, ask), as the kernels are compiled for just the types of arrays that then occur.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from workbench import log

SERIES = 3
RANGES = (
    "rate", "increase", "delta", "irate", "idelta", "avg_over_time", "min_over_time", "max_over_time", "sum_over_time",
    "count_over_time", "last_over_time", "stddev_over_time", "present_over_time", "absent_over_time", "changes",
    "resets", "deriv", "mad_over_time", "ts_of_max_over_time", "integral",
)  # fmt: skip
EXPRESSIONS = (
    "warm",
    "sum by (kind) (warm)",
    "quantile(0.9, warm)",
    "topk(1, warm)",
    "quantile_over_time(0.9, warm[1m])",
    "histogram_quantile(0.9, rate(warm_duration_seconds_bucket[1m]))",
    "warm > 0 and warm / ignoring (kind) group_left warm",
    "max_over_time(rate(warm[30s])[1m:10s])",
    "double_exponential_smoothing(warm[1m], 0.5, 0.5)",
    "rate(warm[1m] smoothed) + changes(warm[1m] anchored) + (warm smoothed)",
    "sum(rate(warm_spread_seconds[1m])) - sum(warm_spread_seconds)",
    "histogram_quantile(0.9, warm_spread_seconds) + histogram_fraction(0, 1, warm_spread_seconds)",
    "histogram_stddev(warm_spread_seconds </ 1) + changes(warm_spread_seconds[1m]) + resets(warm_spread_seconds[1m])",
    *(f"{name}(warm[1m])" for name in RANGES),
)


def main() -> None:
    """Compile into the folder named on the command line."""
    folder = Path(sys.argv[1]).resolve()
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    log.configure("warm", level="WARNING")
    with tempfile.TemporaryDirectory(prefix="workbench-warm-") as home:
        live(Path(home))


def live(home: Path) -> None:
    """One short life of a workbench in this process."""
    import numpy as np

    from workbench import config
    from workbench.errors import QueryError
    from workbench.ingest import Caller, Receiver
    from workbench.query import instant, range_query
    from workbench.store import Follower, Lake, build_index, open_writer
    from workbench.stream import StreamProcessor

    settings = config.load(home, environ={})
    writer = open_writer(settings)
    processor = StreamProcessor(settings)
    writer.add_listener(processor.consume)
    receiver = Receiver(writer, settings)
    caller = Caller(source="token:0", anonymous=False)
    now_us = time.time_ns() // 1000
    follower = Follower(settings)
    for turn in range(SERIES):
        outcomes = [
            receiver.otlp_metrics(otlp_body(now_us, turn), "application/x-protobuf", "", caller),
            receiver.remote_write(remote_write_body(now_us, turn), "application/x-protobuf", "snappy", caller),
        ]
        for outcome in outcomes:
            if outcome.future is not None:
                outcome.future.result(timeout=60)
        follower.refresh()
    processor.windows()
    for part in ("log", "lake"):
        if part == "lake":
            writer.seal()
            follower.refresh()
        for view in (writer.view, follower):
            for expr in EXPRESSIONS:
                try:
                    instant(view, expr, now_us)
                    range_query(view, expr, now_us - 60_000_000, now_us, 10_000_000)
                except QueryError:
                    continue
            # So many points are laid out by a kernel.
            range_query(view, "warm", now_us - 60_000_000, now_us, 200_000).to_prometheus(encoded=True)
            ids = np.arange(1, 2 + len(view.registry))
            view.samples(ids, now_us - 86_400_000_000, now_us)
    build_index(Lake(settings), now_us + 14_400_000_000)  # two blocks later, when that of the samples is over
    for start_us in (now_us - 86_400_000_000, now_us - 15_000_000):
        follower.samples(ids, start_us, now_us, version=follower.lake_version)
    writer.close()


def otlp_body(now_us: int, turn: int) -> bytes:
    """A gauge, a counter and two kinds of histograms."""
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    request = ExportMetricsServiceRequest()
    entry = request.resource_metrics.add()
    attribute = entry.resource.attributes.add(key="service.name")
    attribute.value.string_value = "warm"
    metrics = entry.scope_metrics.add().metrics
    begin_ns, time_ns = (now_us - 3_600_000_000) * 1000, (now_us - (SERIES - turn) * 10_000_000) * 1000
    for name in ("a", "b"):
        gauge = metrics.add(name="warm", unit="1").gauge.data_points.add(time_unix_nano=time_ns, as_double=turn)
        total = metrics.add(name="warm.count", unit="1").sum
        total.aggregation_temporality, total.is_monotonic = 2, True
        point = total.data_points.add(time_unix_nano=time_ns, start_time_unix_nano=begin_ns, as_int=turn)
        classic = metrics.add(name="warm.duration", unit="s").histogram
        classic.aggregation_temporality = 2
        bucketed = classic.data_points.add(time_unix_nano=time_ns, start_time_unix_nano=begin_ns, count=turn, sum=turn)
        bucketed.bucket_counts.extend([turn, 0, 0])
        bucketed.explicit_bounds.extend([0.1, 1.0])
        spread = metrics.add(name="warm.spread", unit="s").exponential_histogram
        spread.aggregation_temporality = 2
        native = spread.data_points.add(time_unix_nano=time_ns, start_time_unix_nano=begin_ns, count=turn, sum=turn)
        native.positive.bucket_counts.append(turn)
        for one in (gauge, point, bucketed, native):
            one.attributes.add(key="kind").value.string_value = name
    return request.SerializeToString()


def remote_write_body(now_us: int, turn: int) -> bytes:
    """Two series by hand: a WriteRequest is a few nested fields."""
    import struct

    import pyarrow as pa

    def field(number: int, body: bytes) -> bytes:
        return bytes([number << 3 | 2, len(body)]) + body

    def varint(value: int) -> bytes:
        out = bytearray()
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        return bytes([*out, value])

    series = b""
    for name in (b"a", b"b"):
        labels = b"".join(
            field(1, field(1, key) + field(2, text)) for key, text in ((b"__name__", b"warm"), (b"kind", name))
        )
        time_ms = (now_us - (SERIES - turn) * 10_000_000) // 1000
        sample = b"\x09" + struct.pack("<d", turn) + b"\x10" + varint(time_ms)
        series += field(1, labels + field(2, sample))
    return bytes(pa.compress(series, codec="snappy", asbytes=True))


if __name__ == "__main__":
    main()
