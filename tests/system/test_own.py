"""What the workbench says of itself and of its streams: windows, counters, metrics."""

from __future__ import annotations

import json

from system.conftest import Workbench, request, wait_for


def test_sliding_windows_of_a_host_metric(workbench: Workbench):
    token = workbench.token("viewer")

    def windows() -> list[dict]:
        status, body = workbench.get("/api/v1/windows?match[]=system_cpu_load_average_1m", token=token)
        assert status == 200, body
        rows = json.loads(body)["data"]
        return rows if rows and rows[0]["count"] >= 5 else []

    rows = wait_for(windows, "five seconds of windows", 60)
    assert [row["window_seconds"] for row in rows] == [60, 300, 900, 3600]
    for row in rows:
        assert row["min"] <= row["p50"] * 1.02
        assert row["p50"] <= row["p95"] * 1.02
        assert row["p95"] <= row["max"] * 1.02
        assert row["rate"] is None
    status, body = workbench.get("/api/v1/windows?match[]=system_cpu_time_seconds_total", token=token)
    busy = json.loads(body)["data"]
    assert status == 200
    assert all(row["rate"] is not None and row["rate"] >= 0 for row in busy)
    assert workbench.get("/api/v1/windows", token=token)[0] == 400
    assert workbench.get("/api/v1/windows?match[]=sum(", token=token)[0] == 400


def test_refused_samples_are_counted_where_everything_is_seen(workbench: Workbench):
    url = workbench.status()["ingest_url"].rstrip("/") + "/v1/metrics"
    old = {
        "resourceMetrics": [
            {
                "scopeMetrics": [
                    {
                        "metrics": [
                            {
                                "name": "old.news",
                                "gauge": {"dataPoints": [{"timeUnixNano": "1000000000", "asDouble": 1}]},
                            }
                        ]
                    }
                ]
            }
        ]
    }
    status, body = request(
        url, method="POST", body=json.dumps(old).encode(), headers={"Content-Type": "application/json"}
    )
    assert status == 200
    assert json.loads(body)["partialSuccess"]["rejectedDataPoints"] in (1, "1")
    token = workbench.token("viewer")
    refused = 'sum(workbench_ingest_samples_total{job="workbench", outcome!="accepted"}) > 0'
    assert wait_for(lambda: workbench.query(refused, token), "the refusal is a series", 60)


def test_metrics_are_prometheus_text(workbench: Workbench):
    status, body = workbench.get("/metrics", token=workbench.token("viewer"))
    assert status == 200
    assert b"workbench_ingest_samples_total" in body
