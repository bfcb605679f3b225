"""Prometheus' API beside queries: times of series, escaped names, syntax trees, federation and remote read."""

from __future__ import annotations

import contextlib
import json
import struct
import threading

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.query.arrays import SECOND, ArrayView
from workbench import config
from workbench.errors import InputError, QueryCanceled
from workbench.ingest.prometheus.histogram import native_histogram
from workbench.ingest.prometheus.prompb import TimeSeries
from workbench.query import federate_response, instant, prometheus_response, range_query, read_response
from workbench.query.endpoints.labels import unescaped
from workbench.query.endpoints.remote_read import remote_read
from workbench.query.endpoints.wire import field, fields, integer, varint
from workbench.query.samples import Budget
from workbench.schema import STALE_NAN_BITS

NOW_S = 1_700_000_000


@pytest.fixture
def view() -> ArrayView:
    view = ArrayView()
    view.metric("up", {"job": "old"}, [NOW_S - 90_000], [1])
    view.metric("up", {"job": "now"}, [NOW_S - 90_000, NOW_S - 10], [1, 0.5])
    view.metric("down", {"my label": "x"}, [NOW_S - 400], [2])
    return view


def ask(view, endpoint, *parameters, **more):
    status, body = prometheus_response(view, endpoint, parameters, now_us=NOW_S * SECOND, limits=config.Query(), **more)
    assert status == 200, body
    return json.loads(body)


def between(start: float, end: float) -> list[tuple[str, str]]:
    return [("start", str(start)), ("end", str(end))]


def test_start_and_end_leave_out_what_has_no_samples_there(view):
    recent = between(NOW_S - 300, NOW_S)
    assert ask(view, "series", ("match[]", "up"), *recent)["data"] == [{"__name__": "up", "job": "now"}]
    assert ask(view, "label/job/values", *recent)["data"] == ["now"]
    assert ask(view, "labels", *recent)["data"] == ["__name__", "job"]
    assert ask(view, "label/__name__/values", *between(NOW_S - 500, NOW_S))["data"] == ["down", "up"]
    assert ask(view, "label/job/values", *between(NOW_S - 90_000, NOW_S - 90_000))["data"] == ["now", "old"]
    assert ask(view, "label/job/values", ("start", str(NOW_S - 20)))["data"] == ["now"]
    assert ask(view, "label/job/values", ("end", str(NOW_S - 95_000)))["data"] == []
    assert ask(view, "label/job/values")["data"] == ["now", "old"]


def test_a_limit_says_that_there_is_more(view):
    assert ask(view, "labels", ("limit", "1")) == {
        "status": "success", "data": ["__name__"], "warnings": ["results truncated due to limit"],
    }  # fmt: skip
    answer = ask(view, "query", ("query", "up or down"), ("time", str(NOW_S - 390)), ("limit", "1"))
    assert "warnings" not in answer
    assert ask(view, "query", ("query", "up[2d]"), ("limit", "1"))["warnings"]


def test_lookback_and_statistics(view):
    asked = ("query", "down"), ("time", str(NOW_S))
    assert ask(view, "query", *asked)["data"]["result"] == []
    answer = ask(view, "query", *asked, ("lookback_delta", "7m"), ("stats", "all"))["data"]
    assert len(answer["result"]) == 1
    assert answer["stats"]["samples"]["totalQueryableSamples"] >= 1
    assert answer["stats"]["timings"]["execTotalTime"] > 0
    status, _ = prometheus_response(
        view, "query", [*asked, ("lookback_delta", "0s")], now_us=NOW_S * SECOND, limits=config.Query()
    )
    assert status == 400


@pytest.mark.parametrize(
    ("escaped", "name"),
    [("job", "job"), ("U__my_20_label", "my label"), ("U__a__b", "a_b"), ("U___e4_", "ä"), ("U__a_b", "U__a_b"),
     ("U__a_d800_", "U__a_d800_"), ("U__a_110000_", "U__a_110000_")],
)  # fmt: skip
def test_label_names_in_paths(escaped, name):
    assert unescaped(escaped) == name


@given(st.text(max_size=20), st.booleans())
def test_any_name_comes_back_from_its_escaped_form(name, spare):
    """Letters, digits and colons stand for themselves, `_` is `__`, all else is its code point."""

    def written(character: str) -> str:
        plain = character.isascii() and (character.isalnum() or character == ":") and not spare
        return character if plain else "__" if character == "_" else f"_{ord(character):x}_"

    assert unescaped("U__" + "".join(map(written, name))) == name


def test_syntax_trees_are_those_of_prometheus(view):
    """The forms that Prometheus 3 answers for these expressions."""
    tree = ask(view, "parse_query", ("query", 'sum by (a) (rate(x{b!="c"}[5m] offset 1m)) > bool 1.5'))["data"]
    assert tree["type"] == "binaryExpr"
    assert (tree["op"], tree["bool"], tree["matching"]) == (">", True, None)
    assert tree["rhs"] == {"type": "numberLiteral", "val": "1.5"}
    total = tree["lhs"]
    assert (total["type"], total["op"], total["grouping"], total["without"]) == ("aggregation", "sum", ["a"], False)
    call = total["expr"]
    assert call["func"] == {"name": "rate", "argTypes": ["matrix"], "variadic": 0, "returnType": "vector"}
    assert call["args"] == [
        {
            "type": "matrixSelector", "name": "x", "range": 300_000, "offset": 60_000, "offsetExpr": None,
            "rangeExpr": None,
            "timestamp": None,
            "startOrEnd": None, "anchored": False, "smoothed": False,
            "matchers": [
                {"name": "b", "value": "c", "type": "!="},
                {"name": "__name__", "value": "x", "type": "="},
            ],
        }
    ]  # fmt: skip
    many = ask(view, "parse_query", ("query", "a * on (x) group_left (y) b"))["data"]
    assert many["matching"] == {
        "card": "many-to-one", "labels": ["x"], "on": True, "include": ["y"], "fillValues": {"lhs": None, "rhs": None},
    }  # fmt: skip


def test_federation_writes_the_newest_samples(view):
    def federated(*parameters, accept=""):
        return federate_response(view, parameters, accept, now_us=NOW_S * SECOND, limits=config.Query())

    status, media, body = federated(("match[]", "up"))
    assert (status, media.partition(";")[0]) == (200, "text/plain")
    assert body.decode() == f'# TYPE up untyped\nup{{job="now",instance=""}} 0.5 {(NOW_S - 10) * 1000}\n'
    assert federated()[0] == 400
    assert federated(("match[]", "rate(up[5m])"))[0] == 400


def test_remote_read_refuses_what_is_no_request(view):
    for body in (b"", b"\x05abc", pa.compress(b"\x0a\x7f", codec="snappy", asbytes=True), b"\xff" * 6):
        status, _, text = read_response(view, body, limits=config.Query())
        assert status == 400, text


def asked_for(name: str, start_ms: int, end_ms: int) -> bytes:
    """A ReadRequest for a metric."""
    matcher = field(2, b"__name__") + field(3, name.encode())
    return pa.compress(field(1, integer(1, start_ms) + integer(2, end_ms) + field(3, matcher)), "snappy", asbytes=True)


def answered(view: ArrayView, request: bytes) -> list:
    """The series of the answer, as remote write reads them."""
    body = remote_read(view, request, Budget(10_000))
    message = pa.decompress(body, varint(body, 0)[0], "snappy", asbytes=True)
    [(_, result)] = fields(message)
    return [TimeSeries.FromString(series) for _, series in fields(result)]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(-(2**30), 2**30), unique=True, max_size=8),
    st.lists(st.integers(-40, 40), unique=True, max_size=8),
    st.integers(-4, 8),
    st.sampled_from([0, 3]),
)
def test_native_histograms_are_read_as_they_were_written(positive, negative, resolution, hint):
    value = {
        "schema": resolution, "reset_hint": hint, "count": 9.5, "sum": -2.5, "zero_threshold": 0.25, "zero_count": 0.5,
        "positive_indexes": sorted(positive), "positive_counts": [1.0 + place for place in range(len(positive))],
        "negative_indexes": sorted(negative), "negative_counts": [0.5 + place for place in range(len(negative))],
        "custom_bounds": [],
    }  # fmt: skip
    own = {
        **value, "schema": -53, "zero_threshold": 0.0, "zero_count": 0.0, "custom_bounds": [-1.0, 0.5, 2.0],
        "positive_indexes": [0, 3], "positive_counts": [1.0, 2.0], "negative_indexes": [], "negative_counts": [],
    }  # fmt: skip
    view = ArrayView()
    view.native("h", {"job": "a"}, [NOW_S - 30, NOW_S - 20, NOW_S - 10, NOW_S + 1], [value, own, None, value])
    view.metric("h", {"job": "a"}, [NOW_S], [7.0])
    (series,) = answered(view, asked_for("h", (NOW_S - 60) * 1000, NOW_S * 1000))
    assert [(one.name, one.value) for one in series.labels] == [("__name__", "h"), ("job", "a")]
    assert [(one.timestamp, one.value) for one in series.samples] == [(NOW_S * 1000, 7.0)]
    assert [one.timestamp for one in series.histograms] == [(NOW_S - ago) * 1000 for ago in (30, 20, 10)]
    assert [native_histogram(one) for one in series.histograms[:2]] == [value, own]
    assert struct.pack("<d", series.histograms[2].sum) == struct.pack("<Q", STALE_NAN_BITS)


@given(st.binary(max_size=60))
def test_remote_read_survives_any_bytes(message):
    with contextlib.suppress(InputError):
        remote_read(ArrayView(), pa.compress(message, codec="snappy", asbytes=True), Budget(1000))


@pytest.mark.parametrize("canceled_after", [0, 1, 2])
def test_a_query_ends_where_nobody_waits_for_it(view, canceled_after):
    asked = iter(range(100))
    with pytest.raises(QueryCanceled):
        range_query(
            view, "sum(up) + sum(up)", NOW_S * SECOND, (NOW_S + 60) * SECOND, SECOND,
            canceled=lambda: next(asked) >= canceled_after,
        )  # fmt: skip
    gone = threading.Event()
    assert len(instant(view, "up", NOW_S * SECOND, canceled=gone.is_set)) == 1
    gone.set()
    answer = prometheus_response(
        view, "query", [("query", "up")], now_us=NOW_S * SECOND, limits=config.Query(), canceled=gone.is_set
    )
    assert (answer[0], json.loads(answer[1])["errorType"]) == (499, "canceled")
