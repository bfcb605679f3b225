"""The API answers in Prometheus' shapes, errors included."""

from __future__ import annotations

import json

import pytest

from tests.query.arrays import SECOND, ArrayView
from workbench import config
from workbench.errors import VersionGone
from workbench.query import error_response, prometheus_response
from workbench.store import Identity

NOW_S = 1_700_000_000


@pytest.fixture
def view():
    view = ArrayView()
    view.metric("up", {"job": "a"}, [NOW_S - 10, NOW_S - 5.5], [1, 0.1])
    view.metric("up", {"job": "b"}, [NOW_S], [float("nan")])
    view.put(Identity("otel", "d", "histogram", "s", "", (), (), "count"), [NOW_S * SECOND], [3], "how long")
    return view


def ask(view, endpoint, *parameters, limits=None):
    status, body = prometheus_response(
        view, endpoint, parameters, now_us=NOW_S * SECOND, limits=limits or config.Query()
    )
    return status, json.loads(body)


def over(query: str, start: str, end: str, step: str) -> list[tuple[str, str]]:
    return [("query", query), ("start", start), ("end", end), ("step", step)]


def test_query(view):
    status, body = ask(view, "query", ("query", "up"))
    assert status == 200
    assert body == {
        "status": "success",
        "data": {
            "resultType": "vector",
            "result": [
                {"metric": {"__name__": "up", "job": "a"}, "value": [NOW_S, "0.1"]},
                {"metric": {"__name__": "up", "job": "b"}, "value": [NOW_S, "NaN"]},
            ],
        },
    }


@pytest.mark.parametrize("time", [str(NOW_S - 5.25), "2023-11-14T22:13:14.75Z", "2023-11-14T23:13:14.75+01:00"])
def test_query_at_a_time(view, time):
    _, body = ask(view, "query", ("query", "up"), ("time", time))
    assert [series["value"] for series in body["data"]["result"]] == [[NOW_S - 5.25, "0.1"]]


def test_query_range_vectors_scalars_strings(view):
    result = ask(view, "query", ("query", "up{job='a'}[1m]"))[1]["data"]
    assert result["resultType"] == "matrix"
    assert result["result"][0]["values"] == [[NOW_S - 10, "1"], [NOW_S - 5.5, "0.1"]]
    assert ask(view, "query", ("query", "1/0"))[1]["data"] == {"resultType": "scalar", "result": [NOW_S, "+Inf"]}
    assert ask(view, "query", ("query", "'x'"))[1]["data"] == {"resultType": "string", "result": [NOW_S, "x"]}


def test_query_range(view):
    status, body = ask(
        view, "query_range", ("query", 'up{job="a"}'), ("start", str(NOW_S - 10)), ("end", str(NOW_S)), ("step", "5s")
    )
    assert status == 200
    assert body["data"] == {
        "resultType": "matrix",
        "result": [
            {
                "metric": {"__name__": "up", "job": "a"},
                "values": [[NOW_S - 10, "1"], [NOW_S - 5, "0.1"], [NOW_S, "0.1"]],
            }
        ],
    }


@pytest.mark.parametrize(
    ("endpoint", "parameters", "status", "kind", "words"),
    [
        ("query", [], 400, "bad_data", 'invalid parameter "query"'),
        ("query", [("query", "up{")], 400, "bad_data", "1:4: parse error: unclosed left brace"),
        ("query", [("query", "up"), ("time", "soon")], 400, "bad_data", 'invalid parameter "time"'),
        ("query", [("query", "up"), ("time", "nan")], 400, "bad_data", "valid timestamp"),
        ("query", [("query", "up"), ("limit", "-1")], 400, "bad_data", 'invalid parameter "limit"'),
        ("query", [("query", "up + on () up")], 422, "execution", "many-to-many matching not allowed"),
        ("query", [("query", "topk(NaN, up)")], 422, "execution", "value is NaN"),
        ("query_range", [("query", "up")], 400, "bad_data", 'invalid parameter "start"'),
        ("query_range", over("up", "1", "2", "0"), 400, "bad_data", "zero or negative"),
        ("query_range", over("up", "2", "1", "1"), 400, "bad_data", "before start"),
        ("query_range", over("up", "0", "1e6", "1"), 400, "bad_data", "11,000 points"),
        ("query_range", over("up", "0", "1", "5q"), 400, "bad_data", "valid duration"),
        ("query_range", over("up[5m]", "0", "1", "1"), 422, "execution", "range vector"),
        ("series", [], 400, "bad_data", "no match[] parameter"),
        ("series", [("match[]", "rate(up[5m])")], 400, "bad_data", "not a series selector"),
        ("labels", [("match[]", "{")], 400, "bad_data", "parse error"),
        ("no_such", [], 400, "bad_data", "no endpoint"),
        ("label//values", [], 400, "bad_data", "no endpoint"),
    ],
)  # fmt: skip
def test_errors(view, endpoint, parameters, status, kind, words):
    found, body = ask(view, endpoint, *parameters)
    assert (found, body["status"], body["errorType"]) == (status, "error", kind)
    assert words in body["error"]


def test_time_out_and_a_missing_store_have_their_kinds(view):
    status, body = ask(view, "query", ("query", "up"), limits=config.Query(timeout_seconds=0))
    assert (status, body["errorType"]) == (503, "timeout")
    assert ask(view, "query", ("query", "up"), ("timeout", "0"))[0] == 503
    assert ask(view, "query", ("query", "up"), ("timeout", "5s"))[0] == 200
    assert ask(view, "query", ("query", "up"), ("timeout", "soon"))[0] == 400
    status, text = error_response(VersionGone("no such version"))
    assert (status, json.loads(text)["errorType"]) == (410, "unavailable")


def test_labels_series_metadata(view):
    assert ask(view, "labels")[1]["data"] == ["__name__", "job"]
    assert ask(view, "labels", ("match[]", "d_seconds_count"))[1]["data"] == ["__name__"]
    assert ask(view, "label/job/values")[1]["data"] == ["a", "b"]
    assert ask(view, "label/job/values", ("match[]", 'up{job!="a"}'))[1]["data"] == ["b"]
    assert ask(view, "label/job/values", ("limit", "1"))[1]["data"] == ["a"]
    assert ask(view, "label/__name__/values")[1]["data"] == ["d_seconds_count", "up"]
    assert ask(view, "series", ("match[]", "up{job='a'}"), ("match[]", "{job='b'}"))[1]["data"] == [
        {"__name__": "up", "job": "a"},
        {"__name__": "up", "job": "b"},
    ]
    assert ask(view, "metadata", ("metric", "d_seconds"))[1]["data"] == {
        "d_seconds": [{"type": "histogram", "unit": "s", "help": "how long"}]
    }
    assert ask(view, "format_query", ("query", "sum(up)by(job)"))[1]["data"] == "sum by (job) (up)"
