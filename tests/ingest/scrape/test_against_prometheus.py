"""The same targets under the same file, scraped by a real Prometheus and by us: labels, values, ends."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from conftest import need

from tests.ingest.scrape.conftest import OPENMETRICS, Answer, Exposer, WriterSink
from tests.query.prometheus import Prometheus
from workbench.ingest import Scraper
from workbench.query import instant

TEXT_BODY = b"""\
# HELP node_load1 1m load average.
# TYPE node_load1 gauge
node_load1 0.25
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu="0",mode="idle"} 12345.5
node_cpu_seconds_total{cpu="0",mode="user"} 1e3
node_cpu_seconds_total{cpu="1",mode="idle"} 99
node_filesystem_free_bytes{device="/dev/sda1",fstype="ext4",path="C:\\\\DIR",text="a \\"b\\"\\nc"} 7
dropped_one 1
dropped_two{x="y"} 2
clashing{job="theirs",instance="their-host",exported_job="older"} 5
with_time 3 %d
special{v="nan"} NaN
special{v="inf"} +Inf
empty{label=""} 4
# TYPE request_seconds histogram
request_seconds_bucket{le="0.5"} 2
request_seconds_bucket{le="+Inf"} 3
request_seconds_sum 1.25
request_seconds_count 3
untyped_thing{name="Mixed Case"} 8
"""

OPENMETRICS_BODY = b"""\
# TYPE jobs counter
# HELP jobs Jobs done.
jobs_total{kind="a"} 17 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.67
jobs_created{kind="a"} 1600000000.0
# TYPE temperature_celsius gauge
# UNIT temperature_celsius celsius
temperature_celsius{room="kitchen"} 21.5
# TYPE build info
build_info{version="1.2"} 1
# EOF
"""

FILE = """\
global:
  scrape_interval: 1s
scrape_configs:
- job_name: node
  metrics_path: /node
  params: {{collect: [cpu, load]}}
  static_configs:
  - targets: ["{address}"]
    labels: {{env: test, region: eu-1}}
  relabel_configs:
  - source_labels: [region]
    regex: "([a-z]+)-([0-9]+)"
    target_label: zone
    replacement: "zone-$2-${{1}}"
  - source_labels: [__address__]
    modulus: 8
    target_label: shard
    action: hashmod
  - regex: region
    action: labeldrop
  - source_labels: [__param_collect]
    target_label: collected
  metric_relabel_configs:
  - source_labels: [__name__]
    regex: dropped_.*
    action: drop
  - source_labels: [name]
    target_label: lower
    action: lowercase
  - regex: "ex(ported.*)"
    replacement: "was_$1"
    action: labelmap
  - source_labels: [mode]
    regex: user
    target_label: mode
    replacement: ""
- job_name: open
  metrics_path: /open
  honor_labels: true
  static_configs: [{{targets: ["{address}"]}}]
- job_name: honest
  metrics_path: /node
  honor_labels: true
  honor_timestamps: false
  static_configs: [{{targets: ["{address}"]}}]
- job_name: bounded
  metrics_path: /node
  sample_limit: 5
  static_configs: [{{targets: ["{address}"]}}]
- job_name: broken
  metrics_path: /broken
  static_configs: [{{targets: ["{address}"]}}]
- job_name: files
  metrics_path: /open
  file_sd_configs: [{{files: ["{folder}/targets-*.json"]}}]
  relabel_configs:
  - {{source_labels: [__meta_filepath], regex: ".*/(.*)", target_label: file}}
  - {{source_labels: [keep], regex: "no", action: drop}}
"""

EVERYTHING = '{__name__=~".+",__name__!="scrape_duration_seconds"}'


@pytest.fixture
def prometheus(tmp_path):
    need(shutil.which("prometheus"), "the package prometheus")
    folder = tmp_path / "prometheus"
    folder.mkdir()
    server = Prometheus(folder)
    yield server
    server.close()


def theirs(prometheus: Prometheus) -> dict[tuple, str]:
    found = prometheus.ask("query", query=EVERYTHING)["data"]["result"]
    return {tuple(sorted(one["metric"].items())): one["value"][1] for one in found}


def ours(sink: WriterSink) -> dict[tuple, str]:
    result = instant(sink.writer.view, EVERYTHING, time.time_ns() // 1000).to_prometheus()["result"]
    return {tuple(sorted(one["metric"].items())): one["value"][1] for one in result}


def settled(found: dict[tuple, str]) -> dict[tuple, str]:
    """Without what a first scrape alone says: new series are counted there once."""
    return {labels: value for labels, value in found.items() if dict(labels)["__name__"] != "scrape_series_added"}


async def agree(prometheus: Prometheus, sink: WriterSink, done) -> dict[tuple, str]:
    """Wait until both say the same and `done`; what they say."""
    mine, wanted = {}, {}
    for _ in range(300):
        mine, wanted = settled(ours(sink)), settled(await asyncio.to_thread(theirs, prometheus))
        if mine == wanted and done(mine):
            return mine
        await asyncio.sleep(0.1)  # two servers with clocks of their own
    pytest.fail(
        f"only ours: {sorted(mine.items() - wanted.items())}\nonly theirs: {sorted(wanted.items() - mine.items())}"
    )


def test_labels_values_and_ends_are_those_of_prometheus(prometheus, sink, exposer: Exposer, tmp_path: Path):
    exposer.answers["/node"] = Answer(TEXT_BODY % (time.time_ns() // 1_000_000))
    exposer.answers["/open"] = Answer(OPENMETRICS_BODY, OPENMETRICS)
    exposer.answers["/broken"] = Answer(b"fine 1\nnot a sample\n")
    (tmp_path / "targets-1.json").write_text(
        f'[{{"targets": ["{exposer.address}"], "labels": {{"keep": "yes"}}}},'
        f' {{"targets": ["{exposer.address}"], "labels": {{"keep": "no"}}}}]'
    )
    text = FILE.format(address=exposer.address, folder=tmp_path)
    file = tmp_path / "scrape.yml"
    file.write_text(text)
    (tmp_path / "prometheus" / "prometheus.yml").write_text(text)
    os.kill(prometheus._process.pid, signal.SIGHUP)

    async def run() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(Scraper(file, sink).run(stop))
        first = await agree(prometheus, sink, lambda found: sum(dict(one)["__name__"] == "up" for one in found) == 6)
        assert len(first) > 50
        # A series goes, then a whole answer.
        exposer.answers["/node"].body = exposer.answers["/node"].body.replace(b"node_load1 0.25\n", b"")
        await agree(prometheus, sink, lambda found: not any(dict(one)["__name__"] == "node_load1" for one in found))
        exposer.answers["/open"].status = 500
        await agree(prometheus, sink, lambda found: not any(dict(one)["__name__"] == "jobs_total" for one in found))
        stop.set()
        await running

    asyncio.run(run())
