"""Scrape files: what is in force, and every fault with its file and line."""

from __future__ import annotations

import pytest

from workbench.errors import ConfigError
from workbench.ingest import read_scraping
from workbench.ingest.scrape.targets import find_targets

WHOLE = """\
global:
  scrape_interval: 15s
  evaluation_interval: 30s
  external_labels: {cluster: a}
  sample_limit: 1000
rule_files: [rules/*.yml]
alerting: {alertmanagers: [{static_configs: [{targets: [am:9093]}]}]}
scrape_config_files: ["more/*.yml"]
scrape_configs:
- job_name: node
  scrape_timeout: 5s
  scheme: https
  params: {collect: [cpu, mem], q: ["a b"]}
  basic_auth: {username: prom, password_file: secret}
  tls_config: {ca_file: ca.pem, insecure_skip_verify: true, server_name: inside}
  body_size_limit: 10MB
  label_limit: 30
  label_name_length_limit: 100
  label_value_length_limit: 200
  target_limit: 10
  scrape_protocols: [PrometheusText0.0.4]
  static_configs:
  - targets: ["a:9100", "b:9100", "a:9100"]
    labels: {env: prod}
  file_sd_configs: [{files: ["sd/*.json"], refresh_interval: 1m}]
  http_sd_configs: [{url: "http://sd.example/targets", authorization: {credentials: s3cret}}]
"""


def test_a_whole_file(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "x.yml").write_text("scrape_configs: [{job_name: x, scrape_interval: 5s}]\n")
    (tmp_path / "scrape.yml").write_text(WHOLE)
    found = read_scraping(tmp_path / "scrape.yml")
    node, other = found.jobs
    assert found.unread == ("alerting", "rule_files")
    assert (node.interval_seconds, node.timeout_seconds, node.limits.samples) == (15, 5, 1000)
    assert (other.interval_seconds, other.timeout_seconds) == (5, 5)  # the timeout gives way to a short interval
    assert node.limits.body_bytes == 10 * 2**20
    assert node.access.password_file == tmp_path / "secret"
    assert not node.access.verify
    assert node.files[0].patterns == (str(tmp_path / "sd/*.json"),)
    targets = find_targets(node, node.groups).targets
    assert [dict(target.labels) for target in targets] == [
        {"env": "prod", "instance": f"{host}:9100", "job": "node"} for host in "ab"
    ]
    assert targets[0].url == "https://a:9100/metrics?collect=cpu&collect=mem&q=a+b"


def test_what_relabelling_may_change_of_a_target(tmp_path):
    (tmp_path / "scrape.yml").write_text("""\
scrape_configs:
- job_name: probe
  static_configs: [{targets: ["example.org", "slow.example.org"]}]
  relabel_configs:
  - {source_labels: [__address__], target_label: __param_target}
  - {source_labels: [__address__], target_label: instance}
  - {source_labels: [__address__], regex: "slow.*", target_label: __scrape_interval__, replacement: 5m}
  - {target_label: __address__, replacement: "prober:9115"}
  - {target_label: __metrics_path__, replacement: probe}
  - {target_label: __scheme__, replacement: https}
""")
    job = read_scraping(tmp_path / "scrape.yml").jobs[0]
    first, slow = find_targets(job, job.groups).targets
    assert first.url == "https://prober:9115/probe?target=example.org"
    assert dict(first.labels) == {"instance": "example.org", "job": "probe"}
    assert (first.interval_seconds, slow.interval_seconds) == (60, 300)


FAULTY = """\
global:
  scrape_interval: 10
scrape_configs:
- job_name: a
  scrape_intervall: 15s
  honor_labels: perhaps
  static_configs:
  - targets: ["http://a:1/metrics"]
- job_name: b
  scrape_timeout: 2m
  kubernetes_sd_configs: [{role: pod}]
  basic_auth: {username: x}
  bearer_token: y
  relabel_configs:
  - action: keep
    regex: "(["
- scrape_interval: 1m
- job_name: a
  scrape_protocols: [Protobuf]
  oauth2: {client_id: x}
  sample_limit: -1
  body_size_limit: much
  file_sd_configs: [{files: ["/etc/*/x.json", "y.txt"]}]
  http_sd_configs: [{url: "ftp://x"}]
"""


def test_every_fault_is_told_with_its_line(tmp_path):
    file = tmp_path / "scrape.yml"
    file.write_text(FAULTY)
    with pytest.raises(ConfigError) as caught:
        read_scraping(file)
    told = [line.removeprefix(f"{file}:") for line in caught.value.message.splitlines()]
    lines = [int(line.partition(":")[0]) for line in told]
    assert lines == sorted(lines)
    for line, word in (
        (2, "15s or 1m"), (3, "two jobs 'a'"), (5, "did you mean 'scrape_interval'"), (6, "true or false"),
        (8, "metrics_path"), (10, "longer than scrape_interval"), (11, "file_sd"), (13, "one too many"),
        (16, "regular expression"), (17, "job_name"), (19, "OpenMetricsText1.0.0"), (20, "credentials_file"),
        (21, "whole number"), (22, "10MB"), (23, "y.txt"), (24, "http or https"),
    ):  # fmt: skip
        assert any(text.startswith(f"{line}: ") and word in text for text in told), (line, word, told)


@pytest.mark.parametrize("text", ["", "scrape_configs:\n", "{}", "global: {scrape_interval: 5s}\n"])
def test_an_empty_file_scrapes_nothing(tmp_path, text):
    (tmp_path / "scrape.yml").write_text(text)
    assert read_scraping(tmp_path / "scrape.yml").jobs == ()


@pytest.mark.parametrize("text", ["- a\n", "a: [", "a: b: c", "\x00", "scrape_configs: 5", "scrape_configs: [5]"])
def test_what_is_no_scrape_file_is_refused_with_a_line(tmp_path, text):
    (tmp_path / "scrape.yml").write_text(text)
    with pytest.raises(ConfigError, match=r"scrape\.yml:1: "):
        read_scraping(tmp_path / "scrape.yml")
