"""The same samples in a real Prometheus and here give the same answers.

Debian's Prometheus is 2.42, whose windows include their start; samples are put off the edges of all windows, so that
both readings agree. What changed since 2.42 is tested in `test_evaluate.py`.
"""

from __future__ import annotations

import math
import random
import re
import struct
from pathlib import Path

import pytest
from conftest import need
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.query.arrays import SECOND, ArrayView
from tests.query.grammar import vectors
from tests.query.prometheus import Prometheus, installed
from workbench import schema
from workbench.errors import QueryError, QuerySyntaxError
from workbench.query import instant, parse, range_query

BASE_S = 1_700_000_000
STALE = struct.unpack("<d", struct.pack("<Q", schema.STALE_NAN_BITS))[0]


def lines(name: str) -> list[str]:
    """The expressions of a file, one a line."""
    return (Path(__file__).parent / "expressions" / name).read_text(encoding="utf-8").splitlines()


def samples() -> list[tuple[dict[str, str], int, float]]:
    """Gauges, counters with resets, gaps, jitter, NaN, infinities and staleness markers; an hour at about 10 s."""
    chance = random.Random(7)
    found = []
    for host in range(6):
        labels = {"job": "node", "instance": f"h{host}", "dc": "ab"[host % 2]}
        total = 5_000.0 + host
        for step in range(360):
            # 3 s after a multiple of 10, give or take: never on the edge of a window of whole 10 s.
            time_ms = (BASE_S + step * 10 + 3) * 1000 + chance.randrange(-900, 900)
            total = chance.uniform(0, 30) if chance.random() < 0.01 else total + chance.expovariate(0.2)
            if host == 3 and 100 < step < 140:
                continue
            found.append(({"__name__": "requests_total", **labels}, time_ms, total))
            for mode in ("user", "system"):
                value = math.sin(step / 20 + host) * (host + 1) if mode == "user" else chance.gauss(0, 1)
                if host == 2 and step % 50 == 0:
                    value = [math.nan, math.inf, -math.inf][step // 50 % 3]
                if host == 4 and step == 200:
                    value = STALE
                if host == 4 and 200 < step < 260:
                    continue
                found.append(({"__name__": "load", "mode": mode, **labels}, time_ms, value))
        found.append(({"__name__": "info", "version": f"v{host % 3}", **labels}, (BASE_S + 3_003) * 1000, 1.0))
        found += [
            ({"__name__": "late_bucket", "le": le, **labels}, (BASE_S + 3_003) * 1000, float(count * (host + 1)))
            for le, count in (("0.1", 2), ("1", 7), ("+Inf", 9))
        ]
    found += [({"__name__": "only", "kind": "single"}, (BASE_S + 10 * n + 3) * 1000, n * 1.5) for n in range(360)]
    return found


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    need(installed(), "Prometheus is not installed")
    view = ArrayView()
    series: dict[tuple, list[tuple[int, float]]] = {}
    for labels, time_ms, value in samples():
        series.setdefault(tuple(sorted(labels.items())), []).append((time_ms, value))
    for labels, points in series.items():
        rest = dict(labels)
        view.metric(rest.pop("__name__"), rest, [time / 1000 for time, _ in points], [value for _, value in points])
    server = Prometheus(tmp_path_factory.mktemp("prometheus"))
    server.write((dict(labels), points) for labels, points in series.items())
    yield view, server
    server.close()


EXPRESSIONS = lines("evaluated.promql")


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_instant(both, expr):
    view, server = both
    for offset in (1_800, 2_050, 3_300):
        theirs = server.ask("query", query=expr, time=BASE_S + offset)
        assert theirs["status"] == "success", theirs
        ours = instant(view, expr, (BASE_S + offset) * SECOND).to_prometheus()
        _same(ours, theirs["data"])


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_range(both, expr):
    view, server = both
    start, end, step = BASE_S + 1_000, BASE_S + 3_500, 50
    theirs = server.ask("query_range", query=expr, start=start, end=end, step=step)
    assert theirs["status"] == "success", theirs
    ours = range_query(view, expr, start * SECOND, end * SECOND, step * SECOND).to_prometheus()
    _same(ours, theirs["data"])


# Left out: ties, which each may break as it likes, and what has changed since 2.42.
CHANGED = re.compile(r"topk|bottomk|limitk|stddev|atan2|deriv|\brate|1_000|5m")
RANDOM = vectors(
    st.sampled_from(["load", "requests_total", 'load{mode="user"}', 'requests_total{dc="a"}', 'info{job="node"}']),
    lambda text: st.sampled_from([f"{text} offset 5s", f"{text} offset 33s", f"{text} @ 1700002005"]),
    st.sampled_from(["10s", "30s", "1m", "2m"]),
).filter(lambda expr: not CHANGED.search(expr))


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(RANDOM)
def test_random_expressions(both, expr):
    view, server = both
    start, end, step = BASE_S + 1_000, BASE_S + 2_000, 50
    theirs = server.ask("query_range", query=expr, start=start, end=end, step=step)
    if theirs["status"] == "error":
        with pytest.raises(QueryError) as refused:
            range_query(view, expr, start * SECOND, end * SECOND, step * SECOND)
        assert refused.value.message.split(" {")[0] in theirs["error"]
        return
    ours = range_query(view, expr, start * SECOND, end * SECOND, step * SECOND).to_prometheus()
    _same(ours, theirs["data"])


def test_samples_of_a_range_vector(both):
    view, server = both
    theirs = server.ask("query", query="load[1m]", time=BASE_S + 2_050)["data"]
    _same(instant(view, "load[1m]", (BASE_S + 2_050) * SECOND).to_prometheus(), theirs)


@pytest.mark.parametrize(
    "expr",
    [
        "load + on (dc) load",
        "load + on (instance) requests_total",
        "load{mode='user'} + on (dc) load{mode='system'}",
        "requests_total * on (dc) group_left info",
        "load * on (instance) group_left (mode) load",
        "rate({__name__=~'load|requests_total'}[5m])",
        "-{__name__=~'requests_total|info'} + 0",
        "label_replace(load, 'instance', 'x', 'instance', '.*')",
        "info * on (dc) group_right (mode) requests_total",
        'label_replace(load, "instance", "", "instance", ".*")',
    ],
)
def test_what_prometheus_refuses_is_refused_with_its_words(both, expr):
    view, server = both
    theirs = server.ask("query", query=expr, time=BASE_S + 3_300)
    if theirs["status"] == "success":
        _same(instant(view, expr, (BASE_S + 3_300) * SECOND).to_prometheus(), theirs["data"])
        return
    with pytest.raises(QueryError) as refused:
        instant(view, expr, (BASE_S + 3_300) * SECOND)
    assert refused.value.message.split(" {")[0] in theirs["error"]


# Durations are numbers, labels stand in quotes, names may be of any script.
SINCE_2_42 = ("a[5]", "5m", '{"a"="b"}', "a offset 0", "a offset +5m", "é", 'a{é="b"}')


@pytest.mark.parametrize("expr", [expr for expr in lines("syntax.promql") if expr not in SINCE_2_42])
def test_both_take_or_both_refuse(both, expr):
    _, server = both
    answer = server.ask("format_query", query=expr)
    try:
        parse(expr)
        refused = ""
    except QuerySyntaxError as error:
        refused = str(error)
    assert bool(refused) == (answer["status"] == "error"), (refused, answer)


def _same(ours: dict, theirs: dict) -> None:
    assert ours["resultType"] == theirs["resultType"]
    if ours["resultType"] in ("scalar", "string"):
        assert _close(ours["result"][1], theirs["result"][1]), (ours, theirs)
        return
    key = lambda series: tuple(sorted(series["metric"].items()))  # noqa: E731
    mine, real = ({key(series): series for series in data["result"]} for data in (ours, theirs))
    assert mine.keys() == real.keys()
    for labels, series in real.items():
        points = series.get("values") or [series["value"]]
        found = mine[labels].get("values") or [mine[labels]["value"]]
        assert [time for time, _ in found] == [time for time, _ in points], labels
        for (time, a), (_, b) in zip(found, points, strict=True):
            assert _close(a, b), (labels, time, a, b)


def _close(a: str, b: str) -> bool:
    x, y = float(a), float(b)
    return (math.isnan(x) and math.isnan(y)) or math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12)
