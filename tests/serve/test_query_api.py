"""Prometheus' API on the main address: the calls of Grafana's data source, named versions, limits, everybody's rows."""

from __future__ import annotations

import functools
import struct
import time

import pyarrow as pa
import pytest

from serve.served import Served
from tests.ingest.messages import snap
from workbench.ingest import Caller, Receiver, Told
from workbench.ingest.prometheus.prompb import Telling, WriteRequest
from workbench.ingest.receiver import PROTOBUF
from workbench.serve.access.rows import REMEMBERED_SECONDS, remove_rows, set_rows
from workbench.serve.pages.turns import VERSION_HEADER
from workbench.serve.running.told_metrics import ToldMetrics


@functools.cache
def now_s() -> int:
    """When the first test asked: in a run of all, the file was read many minutes before."""
    return int(time.time()) // 10 * 10


@functools.cache
def times() -> list[int]:
    """Of the samples, in seconds."""
    return [now_s() - 50 + 10 * step for step in range(6)]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    made = Served(tmp_path_factory.mktemp("served") / "home")
    for domain in ("arts", "secret"):
        made.put("requests_total", {"domain": domain, "instance": "i"}, times(), range(6), "counter")
    yield made
    made.close()


def test_the_calls_of_grafanas_data_source(served):
    """Save & test, the query editor's lists, panels, exemplars, the rules page."""
    with served.client() as client:
        assert int(client.get("/api/v1/status/buildinfo").json()["data"]["version"].partition(".")[0]) >= 3
        form = {"query": "1+1", "time": str(now_s())}
        assert client.post("/api/v1/query", data=form).json()["data"] == {
            "resultType": "scalar",
            "result": [now_s(), "2"],
        }
        span = {"start": str(now_s() - 60), "end": str(now_s())}
        names = client.get("/api/v1/label/__name__/values", params=span).json()["data"]
        assert names == ["requests_total"]
        asked = {**span, "match[]": 'requests_total{domain="arts"}'}
        assert client.post("/api/v1/labels", data=asked).json()["data"] == ["__name__", "domain", "instance"]
        assert client.get("/api/v1/label/domain/values", params=asked).json()["data"] == ["arts"]
        assert len(client.post("/api/v1/series", data=asked).json()["data"]) == 1
        known = client.get("/api/v1/metadata", params={"limit_per_metric": "1"}).json()["data"]
        assert known["requests_total"][0]["type"] == "counter"
        panel = {**span, "query": "sum by (domain) (rate(requests_total[1m]))", "step": "15"}
        assert len(client.post("/api/v1/query_range", data=panel).json()["data"]["result"]) == 2
        assert client.post("/api/v1/query_exemplars", data=panel).json() == {"status": "success", "data": []}
        assert client.get("/api/v1/rules").status_code == 503, "no hub runs in this test"
        assert client.get("/api/v1/alerts").json()["data"] == {"alerts": []}


def test_metadata_of_remote_write_describe_its_series(served):
    told = ToldMetrics(served.engine)
    receiver = Receiver(served.writer, served.settings, tell=told.tell)
    request = WriteRequest()
    for name in ("sent_seconds_bucket", "sent_seconds_sum", "sent_seconds_count", "plain_total", "silent"):
        series = request.timeseries.add()
        series.labels.add(name="__name__", value=name)
        series.samples.add(value=1.0, timestamp=now_s() * 1000)
    telling = Telling()
    for name, type_, unit in (("sent_seconds", 3, "seconds"), ("plain_total", 1, ""), ("hidden", 2, "")):
        telling.metadata.add(type=type_, metric_family_name=name, help=f"help of {name}", unit=unit)
    body = request.SerializeToString() + telling.SerializeToString()
    outcome = receiver.remote_write(snap(body), PROTOBUF, "snappy", Caller("token:1", False))
    receiver.close()
    assert (outcome.accepted, outcome.rejected) == (5, 0)
    outcome.future.result(30)
    served.view.refresh()
    found = served.data("/api/v1/metadata")
    assert found["sent_seconds"] == [{"type": "histogram", "unit": "seconds", "help": "help of sent_seconds"}]
    assert found["plain_total"] == [{"type": "counter", "unit": "", "help": "help of plain_total"}]
    assert found["silent"][0]["type"] == "unknown"
    assert {"hidden", "sent_seconds_sum"}.isdisjoint(found), "nobody sent it; it is a part"
    told.tell([Told("plain_total", "counter", "", "another help")])
    assert ToldMetrics(served.engine)._known["plain_total"] == ("counter", "", "another help")


def test_what_is_told_of_the_server(served):
    tsdb = served.data("/api/v1/status/tsdb", limit=1)
    assert tsdb["headStats"]["numSeries"] >= 2
    assert tsdb["seriesCountByMetricName"] == [{"name": "requests_total", "value": 2}]
    assert len(tsdb["labelValueCountByLabelName"]) == 1
    assert served.get("/api/v1/status/tsdb", limit=0).status_code == 400
    assert served.data("/api/v1/status/flags")["query.lookback-delta"] == "300s"
    assert "storageRetention" in served.data("/api/v1/status/runtimeinfo")
    assert "global:" in served.data("/api/v1/status/config")["yaml"]
    assert served.data("/api/v1/alertmanagers") == {"activeAlertmanagers": [], "droppedAlertmanagers": []}
    with served.client() as client:
        del client.headers["authorization"]
        assert client.get("/-/healthy").status_code == 200
        assert client.get("/-/ready").status_code == 503, "no hub takes writes"


def test_long_answers_are_compressed_for_who_takes_it(served):
    asked = {"query": "requests_total", "start": now_s() - 3000, "end": now_s(), "step": 1, "lookback_delta": "2h"}
    with served.client() as client:
        short = client.get("/api/v1/query_range", params=asked, headers={"Accept-Encoding": "gzip"})
        plain = client.get("/api/v1/query_range", params=asked, headers={"Accept-Encoding": "identity"})
    assert (short.headers["content-encoding"], "content-encoding" in plain.headers) == ("gzip", False)
    assert short.json() == plain.json()


def test_a_named_version_answers_the_same_until_it_is_gone(served):
    served.put("versioned", {}, [now_s() - 20], [1.0])
    first = served.writer.seal()
    served.view.refresh()
    between = time.time()
    served.put("versioned", {}, [now_s() - 10], [2.0])
    served.put("later", {}, [now_s() - 10], [2.0])
    second = served.writer.seal()
    served.view.refresh()

    def values(**which) -> list[str]:
        answer = served.get("/api/v1/query", query="last_over_time(versioned[1h])", time=now_s(), **which)
        assert answer.headers[VERSION_HEADER] == (first if which and second not in which.values() else second)
        return [one["value"][1] for one in answer.json()["data"]["result"]]

    assert (values(), values(version=second), values(version=first), values(as_of=between)) == (
        ["2"], ["2"], ["1"], ["1"],
    )  # fmt: skip
    assert "later" not in served.data("/api/v1/label/__name__/values", as_of=between)
    assert "later" in served.data("/api/v1/label/__name__/values")
    table = served.get(
        "/api/v1/sql", query="SELECT max(value) FROM measurements WHERE metric = 'versioned'", version=first
    )
    assert table.json()["data"]["rows"] == [[1.0]]
    for which in ({"version": "000099-aaaaaaaa"}, {"as_of": "1990-01-01"}):
        answer = served.get("/api/v1/query", query="up", **which)
        assert (answer.status_code, answer.json()["errorType"]) == (410, "unavailable")
    both = served.get("/api/v1/query", query="up", version=first, as_of=between)
    assert (both.status_code, both.json()["errorType"]) == (400, "bad_data")
    (served.settings.lake_dir / "manifests" / f"{first}.json").unlink()
    answer = served.get("/api/v1/query", query="versioned", version=first)
    assert (answer.status_code, "not there" in answer.json()["error"]) == (410, True)
    assert served.get("/api/v1/query", query="versioned", as_of=between).status_code == 410


def read_request(matcher: str) -> bytes:
    """A ReadRequest for all series whose `__name__` matches, over the last minutes."""

    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    def varint(value: int) -> bytes:
        found = b""
        while value > 127:
            found, value = found + bytes([value & 127 | 128]), value >> 7
        return found + bytes([value])

    condition = b"\x08\x02" + field(2, b"__name__") + field(3, matcher.encode())
    times = b"\x08" + varint((now_s() - 600) * 1000) + b"\x10" + varint(now_s() * 1000)
    return pa.compress(field(1, times + field(3, condition)), codec="snappy", asbytes=True)


def test_no_endpoint_tells_of_rows_that_are_hidden(served):
    set_rows(served.engine, "role:viewer", '{domain="arts"}')
    time.sleep(REMEMBERED_SECONDS + 0.1)  # a change is felt within a second: there is no event to await
    try:
        with served.client() as client:
            read = client.post("/api/v1/read", content=read_request(".+"))
            assert (read.status_code, read.headers["content-encoding"]) == (200, "snappy")
            size = sum((byte & 127) << 7 * place for place, byte in enumerate(read.content[:2]))
            found = pa.decompress(read.content, decompressed_size=size, codec="snappy", asbytes=True)
            assert (found.count(b"arts"), found.count(b"secret")) == (1, 0)
            assert found.count(struct.pack("<d", 5.0)) == 1
            for path in (
                "/federate?match[]={__name__=~'.%2B'}",
                "/api/v1/status/tsdb?limit=100",
                "/api/v1/series?match[]={__name__=~'.%2B'}",
                "/api/v1/labels",
                "/api/v1/label/domain/values?start=0",
                "/api/v1/metadata",
                "/api/v1/query_exemplars?query={__name__=~'.%2B'}",
                "/api/v1/query?query=requests_total",
            ):
                answer = client.get(path)
                assert answer.status_code == 200, answer.text
                assert "secret" not in answer.text, path
            assert client.get("/api/v1/status/tsdb").json()["data"]["headStats"]["numSeries"] == 1
        assert "secret" in served.get("/federate", "admin", **{"match[]": "requests_total"}).text
    finally:
        remove_rows(served.engine, "role:viewer")


def test_too_many_samples_and_too_little_time_are_told(tmp_path):
    small = Served(tmp_path / "home", **{"query.max_samples": 3})
    try:
        small.put("x", {}, times(), range(6))
        for path in ("/api/v1/query_range", "/federate"):
            answer = small.get(
                path, **{"query": "x", "start": times()[0], "end": now_s(), "step": 10, "match[]": "x", "time": now_s()}
            )
            assert answer.status_code == 422, answer.text
            assert "too many samples" in answer.text
        assert small.get("/api/v1/query", query="x", timeout="0s").status_code == 503
    finally:
        small.close()
