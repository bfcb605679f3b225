"""Several hundred expressions over the samples of `corpus`: every function at least three times, every modifier."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

_COUNTERS = (
    'node_cpu_seconds_total{cpu="0"}', 'http_requests_total', 'node_network_receive_bytes_total{device!="lo"}',
    'http_request_duration_seconds_count', 'http_requests_total{code=~"5.."}', "latency_seconds", "size_bytes",
)  # fmt: skip
_GAUGES = (
    "temperature_celsius", 'node_load1{job="node"}', 'temperature_celsius{room!="attic"}', "switch", "constant",
    "queue_length", "mixed", 'node_filesystem_avail_bytes{mountpoint="/data"}',
)  # fmt: skip
_RANGES = ("1m", "90s", "5m", "2m30s", "4 * 30s")
_OF_COUNTER = ("rate", "increase", "irate", "resets")
_OF_GAUGE = ("delta", "idelta", "deriv")
_OVER_TIME = (
    "avg_over_time", "sum_over_time", "min_over_time", "max_over_time", "count_over_time", "last_over_time",
    "first_over_time", "present_over_time", "absent_over_time", "stddev_over_time", "stdvar_over_time",
    "mad_over_time", "changes", "ts_of_first_over_time", "ts_of_last_over_time", "ts_of_min_over_time",
    "ts_of_max_over_time", "integral",
)  # fmt: skip
_ELEMENTWISE = (
    "abs", "ceil", "floor", "exp", "ln", "log2", "log10", "sqrt", "sgn", "sin", "cos", "tan", "asin", "acos", "atan",
    "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "deg", "rad", "round", "timestamp", "start_timestamp", "absent",
)  # fmt: skip
_DATES = ("year", "month", "day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute")
_NATIVE = ("histogram_count", "histogram_sum", "histogram_avg", "histogram_stddev", "histogram_stdvar")


def questions() -> list[str]:
    """All expressions, each once, in a fixed order."""
    written = (Path(__file__).parent / "expressions" / "recorded.promql").read_text(encoding="utf-8").splitlines()
    written = [line for line in written if line and not line.startswith("#")]
    return list(dict.fromkeys([*written, *_of_ranges(), *_of_vectors(), *_of_histograms(), *_aggregations()]))


def _of_ranges() -> Iterator[str]:
    counters, gauges, ranges = itertools.cycle(_COUNTERS), itertools.cycle(_GAUGES), itertools.cycle(_RANGES)
    for names, pool in ((_OF_COUNTER, counters), (_OF_GAUGE, gauges), (_OVER_TIME, gauges)):
        for name in names:
            yield f"{name}({next(pool)}[{next(ranges)}])"
            yield f"{name}({next(pool)}[{next(ranges)}] offset 45s)"
            yield f"sum without (room, cpu) ({name}({next(pool)}[{next(ranges)}]))"
            yield f"{name}((temperature_celsius * 2)[4m:40s])"
    for modifier, names in (("anchored", ("changes", "resets")), ("smoothed", ())):
        for name in ("rate", "increase", "delta", *names):
            yield f"{name}({next(counters)}[{next(ranges)}] {modifier})"
            yield f"{name}({next(gauges)}[{next(ranges)}] {modifier} offset 1m)"


def _of_vectors() -> Iterator[str]:
    gauges, counters = itertools.cycle(_GAUGES), itertools.cycle(_COUNTERS)
    for name in _ELEMENTWISE:
        yield f"{name}({next(gauges)})"
        yield f"{name}({next(gauges)} / 40)" if name != "absent" else "absent(nothing{a='b', c=~'d', e='f'})"
        yield f"{name}(rate({next(counters)}[3m]))"
    for name in _DATES:
        yield f"{name}()"
        yield f"{name}(epoch)"
        yield f"{name}(vector(time() - 86400 * 200))"
    for name in ("sort", "sort_desc"):
        yield f"{name}(node_load1)"
        yield f"{name}(http_requests_total)"
        yield f"{name}(-node_memory_MemAvailable_bytes)"
    for name in ("sort_by_label", "sort_by_label_desc"):
        yield f'{name}(node_load1, "instance")'
        yield f'{name}(http_requests_total, "method", "code")'
        yield f'{name}(node_cpu_seconds_total, "cpu")'


def _of_histograms() -> Iterator[str]:
    for name in _NATIVE:
        yield f"{name}(latency_seconds)"
        yield f"{name}(rate(size_bytes[5m]))"
        yield f'{name}(sum(increase(latency_seconds[4m])) or queue_length{{kind="gauge"}})'
    classic = "sum by (le, path) (rate(http_request_duration_seconds_bucket[5m]))"
    for inner in (classic, "http_request_duration_seconds_bucket", "latency_seconds", "rate(size_bytes[5m])"):
        for quantile in ("0.5", "0.99", "-1"):
            yield f"histogram_quantile({quantile}, {inner})"
        for bounds in ("0, 0.3", "0.1, +Inf", "-Inf, 1"):
            yield f"histogram_fraction({bounds}, {inner})"
        yield f'histogram_quantiles({inner}, "quantile", 0, 0.9, 1)'


def _aggregations() -> Iterator[str]:
    gauges = itertools.cycle(_GAUGES)
    for operator in ("sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"):
        yield f"{operator}(temperature_celsius)"
        yield f"{operator} by (mode) (rate(node_cpu_seconds_total[2m]))"
        yield f"{operator} without (cpu, mode) (node_cpu_seconds_total)"
        yield f"{operator} by (kind) ({next(gauges)})"
    for operator in ("topk", "bottomk"):
        yield f"{operator}(2, node_load1)"
        yield f"{operator} by (instance) (1, rate(node_cpu_seconds_total[5m]))"
        yield f"{operator}(scalar(count(up)), node_filesystem_avail_bytes)"
    for quantile in ("0.5", "0.95", "2"):
        yield f"quantile by (code) ({quantile}, rate(http_requests_total[5m]))"
        yield f"quantile_over_time({quantile}, temperature_celsius[4m])"
    for number in ("1", "3", "100"):
        yield f"count(limitk({number}, node_cpu_seconds_total))"
    for ratio in ("0.3", "-0.7", "1.5"):
        yield f"limit_ratio({ratio}, node_cpu_seconds_total)"
    for operator in ("+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", "<=", ">", ">="):
        yield f"node_load1 {operator} on (instance) up"
        yield f"http_requests_total {operator} 100"
        yield f"latency_seconds {operator} latency_seconds"
