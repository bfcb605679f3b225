"""What people already have works by pointing it here: promtool, prometheus-api-client, a Prometheus that federates
from us or reads us."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import time
import urllib.parse
from datetime import datetime

import pytest
from conftest import need

from serve.served import STALE, Served, until
from tests.query.prometheus import Prometheus
from workbench.alert import Recorded
from workbench.serve.running.rule_samples import rule_samples


@functools.cache
def now_s() -> int:
    """When the first test asked: in a run of all, the file was read many minutes before."""
    return int(time.time()) // 10 * 10


@functools.cache
def times() -> list[int]:
    """Of the samples, in seconds."""
    return [now_s() - 600 + 10 * step for step in range(61)]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    made = Served(tmp_path_factory.mktemp("served") / "home")
    for number, job in enumerate(("api", "web")):
        made.put("requests_total", {"job": job, "instance": "i1"}, times(), [(number + 1) * step for step in range(61)])
    made.put("up", {"job": "api"}, times(), [1.0] * 61)
    made.put("gone", {"job": "api"}, times()[:31], [*([5.0] * 30), STALE])
    made.put("http.status", {"my label": 'a"b'}, times(), [2.5] * 61)
    native = (("__name__", "latency"), ("service", "checkout"))
    rule_samples(made.writer)([Recorded(native, at * 1_000_000, observed(place)) for place, at in enumerate(times())])
    made.view.refresh()
    yield made
    made.close()


def observed(n: int) -> dict:
    """A native histogram of 6 n observations."""
    return {
        "schema": 1, "reset_hint": 0, "count": 6.0 * n, "sum": 8.0 * n, "zero_threshold": 0.125, "zero_count": 1.0 * n,
        "positive_indexes": [-3, 0, 1, 7], "positive_counts": [0.5 * n, 1.5 * n, 1.0 * n, 1.0 * n],
        "negative_indexes": [2], "negative_counts": [1.0 * n], "custom_bounds": [],
    }  # fmt: skip


def promtool(served: Served, *arguments: str) -> str:
    tool = shutil.which("promtool")
    need(tool, "promtool (Debian package `prometheus`)")
    server = f"http://token:{served.tokens['viewer']}@127.0.0.1:{served.port}"
    command = [tool, "query", *(server if text == "SERVER" else text for text in arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def test_promtool(served):
    at = str(now_s())
    assert promtool(served, "instant", f"--time={at}", "SERVER", "sum(requests_total)") == f"{{}} => 180 @[{at}]\n"
    ranged = promtool(
        served, "range", f"--start={now_s() - 20}", f"--end={at}", "--step=10s", "SERVER", "requests_total{job='api'}"
    )
    assert ranged == (
        f'requests_total{{instance="i1", job="api"}} =>\n58 @[{now_s() - 20}]\n59 @[{now_s() - 10}]\n60 @[{now_s()}]\n'
    )
    series = promtool(served, "series", "--match=requests_total", "SERVER")
    assert series.splitlines() == [
        '{__name__="requests_total", instance="i1", job="api"}',
        '{__name__="requests_total", instance="i1", job="web"}',
    ]
    assert promtool(served, "labels", "SERVER", "job").split() == ["api", "web"]


def test_prometheus_api_client(served):
    from prometheus_api_client import PrometheusConnect

    client = PrometheusConnect(url=served.url, headers=served.headers())
    assert client.check_prometheus_connection()
    assert {"requests_total", "up", "gone", "http.status"} <= set(client.all_metrics())
    (value,) = client.custom_query("sum(rate(requests_total[1m]))", params={"time": now_s()})
    assert float(value["value"][1]) == pytest.approx(0.3)
    start, end = datetime.fromtimestamp(now_s() - 50), datetime.fromtimestamp(now_s())
    ranged = client.get_metric_range_data("requests_total", label_config={"job": "web"}, start_time=start, end_time=end)
    assert [float(text) for _, text in ranged[0]["values"]][-1] == 120
    assert client.get_label_values("job") == ["api", "web"]
    assert client.get_series(start, end, {"match[]": "up"}) == [{"__name__": "up", "job": "api"}]
    assert "up" in client.get_metric_metadata("up")[0]["metric_name"]


@pytest.fixture(scope="module")
def prometheus(served, tmp_path_factory):
    """A real Prometheus that federates from us and reads us as remote storage."""
    need(shutil.which("prometheus"), "prometheus (Debian package)")
    made = Prometheus(
        tmp_path_factory.mktemp("prometheus"),
        config=json.dumps(
            {
                "scrape_configs": [
                    {
                        "job_name": "federate",
                        "scrape_interval": "1s",
                        "honor_labels": True,
                        "metrics_path": "/federate",
                        "params": {"match[]": ['{job=~"api|web"}']},
                        "authorization": {"credentials": served.tokens["viewer"]},
                        "metric_relabel_configs": [{"target_label": "origin", "replacement": "federated"}],
                        "static_configs": [{"targets": [f"127.0.0.1:{served.port}"]}],
                    }
                ],
                "remote_read": [
                    {
                        "url": f"{served.url}/api/v1/read",
                        "read_recent": True,
                        "authorization": {"credentials": served.tokens["viewer"]},
                    }
                ],
            }
        ),
    )
    yield made
    made.close()


def test_a_prometheus_federates_from_us(served, prometheus):
    def scraped():
        found = prometheus.ask("query", query='{origin="federated"}')["data"]["result"]
        return {one["metric"]["job"]: one["value"][1] for one in found if one["metric"]["__name__"] == "requests_total"}

    assert until(scraped, "Prometheus scraped") == {"api": "60", "web": "120"}
    assert [one["value"][1] for one in prometheus.ask("query", query='up{job="federate"}')["data"]["result"]] == ["1"]
    body = served.get("/federate", **{"match[]": '{job=~"api|web"}'})
    assert body.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = body.text.splitlines()
    assert f'requests_total{{instance="i1",job="api"}} 60 {now_s() * 1000}' in lines
    assert f'up{{job="api",instance=""}} 1 {now_s() * 1000}' in lines
    assert not any(line.startswith("gone") for line in lines)


def test_a_prometheus_reads_us(served, prometheus):
    """What it did not scrape itself comes from us, sample by sample."""
    asked = {"query": 'sum by (job) (requests_total{origin=""})', "start": now_s() - 600, "end": now_s(), "step": 30}
    theirs = prometheus.ask("query_range", **asked)
    assert theirs["data"]["result"] == served.data("/api/v1/query_range", **asked)["result"]
    gone = prometheus.ask("query", query='count_over_time(gone{job!~"x|y",job=~"a.*"}[10m])', time=now_s())
    assert [one["value"][1] for one in gone["data"]["result"]] == ["30"]
    names = prometheus.ask("query", query='{__name__="http.status"}', time=now_s())
    assert names["status"] == "success"


def test_a_prometheus_reads_native_histograms_from_us(served, prometheus):
    if not os.environ.get("WORKBENCH_PROMETHEUS"):
        pytest.skip("Debian's Prometheus reads no native histograms from elsewhere: name one with WORKBENCH_PROMETHEUS")
    for expr in ("latency", "rate(latency[2m])", "histogram_quantile(0.9, sum(rate(latency[5m])))"):
        asked = {"query": expr, "start": now_s() - 120, "end": now_s(), "step": 30}
        (theirs,) = prometheus.ask("query_range", **asked)["data"]["result"]
        (ours,) = served.data("/api/v1/query_range", **asked)["result"]
        assert theirs["metric"] == ours["metric"]
        assert points(theirs) == pytest.approx(points(ours), rel=1e-9)


def test_federation_leaves_native_histograms_out(served):
    assert "latency" not in served.get("/federate", **{"match[]": "latency"}).text


def points(series: dict) -> list[float]:
    """Every number of a series of floats or histograms, in order."""
    found = [float(text) for _, text in series.get("values", [])]
    for time_s, one in series.get("histograms", []):
        found += [time_s, float(one["count"]), float(one["sum"]), *(float(part) for b in one["buckets"] for part in b)]
    return found


def test_a_name_in_utf_8_is_quoted_for_who_takes_it(served):
    with served.client() as client:
        quoted = client.get(
            "/federate",
            params={"match[]": '{"http.status"}'},
            headers={"Accept": "text/plain;version=1.0.0;escaping=allow-utf-8"},
        )
    assert f'{{"http.status","my label"="a\\"b",instance=""}} 2.5 {now_s() * 1000}' in quoted.text
    plain = served.get("/federate", **{"match[]": '{"http.status"}'}).text
    assert f'http_status{{my_label="a\\"b",instance=""}} 2.5 {now_s() * 1000}' in plain
    assert served.data(f"/api/v1/label/{urllib.parse.quote('U__my_20_label')}/values") == ['a"b']
