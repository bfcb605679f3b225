"""An hour of samples with all that can happen to them: for a real Prometheus and for us.

Counters with resets, gauges with NaN and infinities, gaps, staleness markers, churn, jitter beside samples on the edges
of windows, classic histograms, native ones (exponential, with custom bounds, as gauges) and series that change from
one kind to the other.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping

from tests.promqltest.histogram import Histogram
from tests.promqltest.series import STALE, Value

BASE_S = 1_700_000_000
Labels = tuple[tuple[str, str], ...]
Series = tuple[Mapping[str, str], list[tuple[int, Value]]]
"""Labels, and (time in ms, value) in the order of time."""

_BOUNDS = ("0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf")


def series() -> list[Series]:
    """All series; the same ones at every call."""
    chance = random.Random(11)
    return [*_hosts(chance), *_requests(chance), *_gauges(chance), *_native(chance), *_infos()]


def _times(step_s: int, jitter_ms: int, chance: random.Random, first: int = 0, last: int = 3600) -> list[int]:
    return [
        (BASE_S + second) * 1000 + (chance.randrange(-jitter_ms, jitter_ms) if jitter_ms else 0)
        for second in range(first, last + 1, step_s)
    ]


def _counter(times: list[int], per_s: float, chance: random.Random, resets: int = 0) -> list[tuple[int, Value]]:
    total, found = chance.uniform(0, 500), list[tuple[int, Value]]()
    falls = set(chance.sample(range(20, len(times) - 20), resets))
    for place, time in enumerate(times):
        before = times[place - 1] if place else time
        total = (
            chance.uniform(0, 3) if place in falls else total + chance.expovariate(1 / per_s) * (time - before) / 1e3
        )
        found.append((time, total))
    return found


def _hosts(chance: random.Random) -> Iterator[Series]:
    for host in range(3):
        at = {"instance": f"h{host}:9100", "job": "node"}
        gone = (lambda second: 1200 <= second < 1500) if host == 1 else (lambda _: False)
        for cpu in "01":
            for mode, rate in (("user", 0.3), ("system", 0.1), ("idle", 0.5), ("iowait", 0.02)):
                points = _counter(_times(15, 400, chance), rate, chance, resets=host)
                kept = [point for point in points if not gone(point[0] / 1e3 - BASE_S)]
                yield {"__name__": "node_cpu_seconds_total", "cpu": cpu, "mode": mode, **at}, kept
        for device in ("eth0", "lo"):
            points = _counter(_times(15, 0, chance), 2e5, chance, resets=1)
            yield {"__name__": "node_network_receive_bytes_total", "device": device, **at}, points
        times = _times(30, 0, chance)
        size = 1e11 * (host + 1)
        for mount in ("/", "/data"):
            disk = {"device": f"/dev/sd{'ab'[mount != '/']}", "fstype": "ext4", "mountpoint": mount, **at}
            yield {"__name__": "node_filesystem_size_bytes", **disk}, [(time, size) for time in times]
            free = [(time, size * (0.6 - 0.1 * host) - 4e6 * place) for place, time in enumerate(times)]
            yield {"__name__": "node_filesystem_avail_bytes", **disk}, free
        yield {"__name__": "node_memory_MemTotal_bytes", **at}, [(time, 16e9) for time in times]
        used = [(time, 8e9 + 2e9 * math.sin(place / 9 + host)) for place, time in enumerate(times)]
        yield {"__name__": "node_memory_MemAvailable_bytes", **at}, used
        yield {"__name__": "node_load1", **at}, [(time, abs(chance.gauss(host + 1, 0.7))) for time in times]
        yield {"__name__": "node_boot_time_seconds", **at}, [(time, BASE_S - 86_400.0 * host) for time in times]
        up = [(time, 0.0 if gone(time / 1e3 - BASE_S) else 1.0) for time in _times(15, 0, chance)]
        yield {"__name__": "up", **at}, up


def _requests(chance: random.Random) -> Iterator[Series]:
    for code, rate in (("200", 5.0), ("404", 0.3), ("500", 0.1)):
        for method in ("get", "post"):
            labels = {"__name__": "http_requests_total", "code": code, "method": method, "job": "api"}
            points = _counter(_times(10, 700, chance), rate, chance, resets=2)
            if code == "500":  # comes late, goes early
                points = [*points[60:200], (points[200][0], STALE)]
            yield labels, points
    for path in ("/a", "/b"):
        times = _times(20, 0, chance)
        growth = [sorted(chance.uniform(0, 9) for _ in _BOUNDS) for _ in times]
        for bucket, bound in enumerate(_BOUNDS):
            total, points = 0.0, list[tuple[int, Value]]()
            for time, grows in zip(times, growth, strict=True):
                total += round(grows[bucket])
                points.append((time, total))
            labels = {"__name__": "http_request_duration_seconds_bucket", "le": bound, "path": path, "job": "api"}
            yield labels, points
        whole = {"path": path, "job": "api"}
        yield {"__name__": "http_request_duration_seconds_count", **whole}, points
        yield {"__name__": "http_request_duration_seconds_sum", **whole}, [(t, float(v) * 0.21) for t, v in points]  # type: ignore[arg-type]


def _gauges(chance: random.Random) -> Iterator[Series]:
    odd = [math.nan, math.inf, -math.inf]
    for room in ("attic", "cellar", "kitchen"):
        points: list[tuple[int, Value]] = []
        for place, time in enumerate(_times(10, 0, chance)):
            value: Value = 20 + 5 * math.sin(place / 20) + chance.gauss(0, 0.5)
            if room == "attic" and place % 60 == 30:
                value = odd[place // 60 % 3]
            if room == "cellar" and 150 <= place < 200:
                continue
            if room == "cellar" and place == 210:
                value = STALE
            points.append((time, value))
        yield {"__name__": "temperature_celsius", "room": room}, points
    yield {"__name__": "constant"}, [(time, 42.0) for time in _times(15, 0, chance)]
    yield {"__name__": "switch", "room": "attic"}, [(t, float(t // 120_000 % 2)) for t in _times(10, 0, chance)]
    yield {"__name__": "epoch"}, [(time, time / 1e3 + 86_400 * 45.3) for time in _times(30, 0, chance)]


def _native(chance: random.Random) -> Iterator[Series]:
    for instance, scale in (("x", 3), ("y", 1)):
        held, points = Histogram(schema=scale, zero_threshold=0.001), list[tuple[int, Value]]()
        for place, time in enumerate(_times(20, 0, chance)):
            if place == 110 and instance == "y":
                held = Histogram(schema=scale, zero_threshold=0.001)
            held = _observed(held, chance, [chance.randrange(-8, 9) for _ in range(5)])
            if not (instance == "x" and 60 <= place < 80):
                points.append((time, held))
        yield {"__name__": "latency_seconds", "instance": instance}, points
    held, points = Histogram(schema=-53, custom_values=(0.1, 0.5, 1.0, 5.0)), []
    for time in _times(20, 0, chance):
        held = _observed(held, chance, [chance.randrange(0, 5) for _ in range(4)])
        points.append((time, held))
    yield {"__name__": "size_bytes", "kind": "custom"}, points
    points = []
    for time in _times(20, 0, chance):
        points.append((time, _observed(Histogram(hint="gauge"), chance, [chance.randrange(-3, 4) for _ in range(6)])))
    yield {"__name__": "queue_length", "kind": "gauge"}, points
    floats: list[tuple[int, Value]] = [(time, chance.random()) for time in _times(20, 0, chance, last=1780)]
    late = [(time, value) for time, value in points if time > (BASE_S + 1790) * 1000]
    yield {"__name__": "mixed", "kind": "both"}, [*floats, *late]


def _observed(held: Histogram, chance: random.Random, indexes: list[int]) -> Histogram:
    """A histogram after one observation in each of these buckets, some of them negative or zero."""
    positive, negative, zero = dict(held.positive), dict(held.negative), held.zero_count
    for index in indexes:
        if held.schema != -53 and chance.random() < 0.1:
            zero += 1
        elif held.schema != -53 and chance.random() < 0.1:
            negative[index] = negative.get(index, 0.0) + 1
        else:
            positive[index] = positive.get(index, 0.0) + 1
    return Histogram(
        held.schema, held.count + len(indexes), held.sum + 0.37 * sum(indexes) + 2, held.zero_threshold, zero,
        positive, negative, held.custom_values, held.hint,
    )  # fmt: skip


def _infos() -> Iterator[Series]:
    times = [(BASE_S + second) * 1000 for second in range(0, 3601, 30)]
    for host in range(3):
        at = {"instance": f"h{host}:9100", "job": "node"}
        for version, part in (("v1", times[:60]), ("v2", times[60:])):
            points: list[tuple[int, Value]] = [(time, 1.0) for time in part]
            if version == "v1":
                points.append((times[60], STALE))
            yield {"__name__": "target_info", "version": version, "region": f"r{host % 2}", **at}, points
        yield {"__name__": "build_info", "build": f"b{host}", **at}, [(time, 1.0) for time in times]
