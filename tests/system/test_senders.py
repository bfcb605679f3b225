"""What people already run delivers unchanged: OpenTelemetry's SDK over HTTP and gRPC, and a real Prometheus server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.parse
from pathlib import Path

import pytest
from conftest import need
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from system.conftest import Workbench, free_port, request, wait_for

RESOURCE = {
    "service.name": "checkout",
    "service.namespace": "shop",
    "service.instance.id": "one",
    "service.version": "1.2.3",
    "deployment.environment.name": "test",
    "cloud.region": "somewhere",
}


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_the_sdk_delivers_with_default_settings(workbench: Workbench, protocol: str):
    status = workbench.status()
    if protocol == "http":
        exporter = HttpExporter(endpoint=status["ingest_url"].rstrip("/") + "/v1/metrics")
    else:
        exporter = GrpcExporter(endpoint=status["grpc_url"], insecure=True)
    resource = Resource.create({**RESOURCE, "service.name": f"checkout-{protocol}"})
    provider = MeterProvider([PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)], resource)
    meter = provider.get_meter("shop.orders", "0.3")
    meter.create_counter("shop.orders.placed", unit="{order}", description="Orders placed").add(
        7, {"payment.kind": "card"}
    )
    meter.create_up_down_counter("shop.cart.size", unit="By").add(1024)
    meter.create_gauge("shop.fill", unit="1").set(0.25)
    histogram = meter.create_histogram(
        "shop.checkout.duration", unit="s", explicit_bucket_boundaries_advisory=[0.1, 1.0]
    )
    for value in (0.05, 0.5, 5.0):
        histogram.record(value)
    assert provider.force_flush()
    provider.shutdown()

    token = workbench.token("viewer")
    job = f'job="shop/checkout-{protocol}"'

    def one(expr: str) -> dict:
        return wait_for(lambda: workbench.query(expr, token), f"{expr} is found")[0]

    orders = one(f"shop_orders_placed_total{{{job}}}")
    assert orders["value"][1] == "7"
    assert orders["metric"] == {
        "__name__": "shop_orders_placed_total",
        "job": f"shop/checkout-{protocol}",
        "instance": "one",
        "payment_kind": "card",
        "service_version": "1.2.3",
        "deployment_environment_name": "test",
    }
    assert one(f"shop_cart_size_bytes{{{job}}}")["value"][1] == "1024"
    assert one(f"shop_fill_ratio{{{job}}}")["value"][1] == "0.25"
    buckets = {
        found["metric"]["le"]: found["value"][1]
        for found in workbench.query(f"shop_checkout_duration_seconds_bucket{{{job}}}", token)
    }
    assert {float(bound): count for bound, count in buckets.items()} == {0.1: "1", 1.0: "2", float("inf"): "3"}
    assert one(f"shop_checkout_duration_seconds_count{{{job}}}")["value"][1] == "3"
    assert float(one(f"shop_checkout_duration_seconds_sum{{{job}}}")["value"][1]) == pytest.approx(5.55)
    assert one(f"target_info{{{job}}}")["metric"]["cloud_region"] == "somewhere"


def test_a_real_prometheus_delivers_what_it_scraped(workbench: Workbench, tmp_path: Path):
    need(shutil.which("prometheus"), "a Prometheus server (Debian package `prometheus`)")
    port = free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text(
        f"""
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: itself
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
remote_write:
  - url: {workbench.status()["ingest_url"].rstrip("/")}/api/v1/write
    authorization: {{credentials: {workbench.token("ingest")}}}
    queue_config: {{batch_send_deadline: 1s}}
"""
    )
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    with (tmp_path / "prometheus.log").open("w") as log:
        server = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=log, stdout=log)
    try:
        token = workbench.token("viewer")
        expr = 'prometheus_tsdb_head_samples_appended_total{job="itself"}'
        wait_for(lambda: len(workbench.query(f"{expr}[30s]", token)) > 0, "its samples arrive", 60)
        wait_for(lambda: len(workbench.query(f"{expr}[30s]", token)[0]["values"]) >= 5, "five scrapes arrive", 60)
        ours = dict(workbench.query(f"{expr}[30s]", token)[0]["values"])
        asked = urllib.parse.urlencode({"query": f"{expr}[60s]"})
        _, body = request(f"http://127.0.0.1:{port}/api/v1/query?{asked}")
        theirs = dict(json.loads(body)["data"]["result"][0]["values"])
        assert ours.items() <= theirs.items()
        names = {found["metric"]["__name__"] for found in workbench.query('{job="itself"}', token)}
        assert {"up", "go_goroutines", "prometheus_http_request_duration_seconds_bucket"} <= names
        is_scraped_as_well(workbench, port, token)
    finally:
        server.terminate()
        server.wait(timeout=30)


def is_scraped_as_well(workbench: Workbench, port: int, token: str) -> None:
    """A scrape file that appears while the workbench runs is taken up; the hub's end costs no target its loop."""
    (workbench.home / "scrape.yml").write_text(
        "scrape_configs:\n- job_name: asked\n  scrape_interval: 1s\n"
        f'  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]\n'
    )
    wait_for(lambda: workbench.query('up{job="asked"} == 1', token), "the target is up", 60)
    pushed, scraped = (workbench.query(f'prometheus_build_info{{job="{job}"}}', token) for job in ("itself", "asked"))
    assert {**scraped[0]["metric"], "job": "itself"} == pushed[0]["metric"]
    status, body = workbench.get("/api/v1/targets", token=workbench.token("operator"))
    (target,) = json.loads(body)["data"]["activeTargets"]
    assert (status, target["health"], target["lastError"]) == (200, "up", "")
    os.kill(workbench.pid("hub"), signal.SIGKILL)
    asked = time.time()
    wait_for(lambda: newest(workbench, token) > asked + 1, "scrapes are kept again", 60)


def newest(workbench: Workbench, token: str) -> float:
    """Time of the newest scrape, in seconds."""
    found = workbench.query('timestamp(up{job="asked"})', token)
    return float(found[0]["value"][1]) if found else 0.0
