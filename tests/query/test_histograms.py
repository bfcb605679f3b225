"""Native histograms as answers: Prometheus' JSON, arrays, and the series that PromQL makes of both conventions."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from tests.query.arrays import SECOND, ArrayView
from workbench import config
from workbench.query import instant, limited, parse, prometheus_response, range_query
from workbench.store.registry import Identity


def value(**more: Any) -> dict[str, Any]:
    blank = {"schema": 0, "reset_hint": 0, "count": 6.0, "sum": 3.5, "zero_threshold": 0.5, "zero_count": 1.0}
    buckets = {"positive_indexes": [0, 2], "positive_counts": [2.0, 1.0]}
    return {
        **blank, **buckets, "negative_indexes": [1], "negative_counts": [2.0], "custom_bounds": [], **more,
    }  # fmt: skip


@pytest.fixture
def view():
    made = ArrayView()
    made.native("h", {"job": "a"}, [0, 60], [value(), value(count=9.0)])
    made.metric("h", {"job": "a"}, [30], [7.0])
    return made


def test_the_json_of_an_instant_is_prometheus_form(view):
    answer = instant(view, "h", 0).to_prometheus()
    assert answer["result"] == [
        {
            "metric": {"__name__": "h", "job": "a"},
            "histogram": (
                0,
                {
                    "count": "6",
                    "sum": "3.5",
                    "buckets": [
                        [1, "-2", "-1", "2"],
                        [3, "-0.5", "0.5", "1"],
                        [0, "0.5", "1", "2"],
                        [0, "2", "4", "1"],
                    ],
                },
            ),
        }
    ]


def test_floats_and_histograms_of_one_series_stand_side_by_side(view):
    [series] = range_query(view, "h", 0, 60 * SECOND, 30 * SECOND).to_prometheus()["result"]
    assert series["values"] == [(30, "7")]
    assert [(time, found["count"]) for time, found in series["histograms"]] == [(0, "6"), (60, "9")]


def test_the_api_answers_with_histograms(view):
    status, body = prometheus_response(
        view, "query", [("query", "rate(h[2m])"), ("time", "60")], now_us=60 * SECOND, limits=config.Query()
    )
    answer = orjson.loads(body)
    assert status == 200
    assert answer["data"]["result"] == []
    assert "mix of histograms and floats" in answer["warnings"][0]


def test_histograms_become_tables_and_arrays(view):
    result = instant(view, "h[2m]", 60 * SECOND)
    buckets = result.histogram_table().to_pylist()
    assert [row["count"] for row in buckets if row["lower"] == 2.0] == [1.0, 1.0]
    assert buckets[0] == {
        "__name__": "h", "job": "a", "time": buckets[0]["time"], "lower": -2.0, "upper": -1.0, "count": 2.0,
    }  # fmt: skip
    counts = range_query(view, "h", 0, 60 * SECOND, 60 * SECOND).histograms_xarray()
    assert counts.dims == ("series", "time", "bucket")
    assert counts.sel(bucket=(counts.lower == 2.0)).values.ravel().tolist() == [1.0, 1.0]


def test_exponential_histograms_of_opentelemetry_are_asked_for_by_their_prometheus_name():
    view = ArrayView()
    identity = Identity("otel", "d", "exponential_histogram", "s", "cumulative", (("service.name", "api"),), ())
    view.native_of(identity, [0], [value(zero_count=0.0)])
    [labels] = instant(view, "d_seconds", 0).labels
    assert labels == {"__name__": "d_seconds", "job": "api"}
    assert instant(view, "histogram_quantile(1, d_seconds)", 0).values.tolist() == [[4.0]]
    assert instant(view, "d_seconds * 0 + 1", 0).labels == []


def test_hidden_histograms_are_as_if_they_had_never_been_sent():
    view = ArrayView()
    for job in ("a", "b"):
        view.native("h", {"job": job}, [0], [value()])
    shown = limited(view, parse('{job="a"}').matchers)
    assert [labels["job"] for labels in instant(shown, "h", 0).labels] == ["a"]
    hidden = shown.histograms(np.array([1, 2]), 0, 0)
    assert (hidden.ids.tolist(), hidden.offsets.tolist(), hidden.histograms.size) == ([1, 2], [0, 1, 1], 1)
