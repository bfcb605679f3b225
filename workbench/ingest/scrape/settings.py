"""What is to be scraped and how, as frozen data. Names and defaults are those of Prometheus 3's configuration.

Source: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from workbench.ingest.scrape.relabel import Rule

PROTOCOLS = {
    "PrometheusProto": "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
    "OpenMetricsText1.0.0": "application/openmetrics-text;version=1.0.0",
    "OpenMetricsText0.0.1": "application/openmetrics-text;version=0.0.1",
    "PrometheusText1.0.0": "text/plain;version=1.0.0",
    "PrometheusText0.0.4": "text/plain;version=0.0.4",
}
"""Name in `scrape_protocols` -> media type."""

DEFAULT_PROTOCOLS = ("OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText1.0.0", "PrometheusText0.0.4")


@dataclass(frozen=True)
class Access:
    """How a scrape reaches its target: who it says it is, whom it trusts. Files are read anew for each connection."""

    username: str = ""
    password: str = ""
    password_file: Path | None = None
    username_file: Path | None = None
    scheme: str = ""
    credentials: str = ""
    credentials_file: Path | None = None
    ca: str = ""
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str = ""
    verify: bool = True
    follow_redirects: bool = True
    proxy_url: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Limits:
    """What one scrape may bring at most; 0 is no limit. Over it the whole scrape fails, and nothing of it is kept."""

    samples: int = 0
    labels: int = 0
    label_name_bytes: int = 0
    label_value_bytes: int = 0
    targets: int = 0
    body_bytes: int = 0


@dataclass(frozen=True)
class Group:
    """Targets with the labels that all of them have, and where they were found."""

    source: str
    addresses: tuple[str, ...]
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class FileDiscovery:
    """Target groups in files, whose patterns may have a `*` in the last part."""

    patterns: tuple[str, ...]
    refresh_seconds: float = 300.0


@dataclass(frozen=True)
class HttpDiscovery:
    """Target groups as JSON at an address."""

    url: str
    refresh_seconds: float = 60.0
    access: Access = Access()


@dataclass(frozen=True)
class Job:
    """One entry of `scrape_configs`. Paths are absolute, times seconds."""

    name: str
    interval_seconds: float = 60.0
    timeout_seconds: float = 10.0
    metrics_path: str = "/metrics"
    scheme: str = "http"
    params: tuple[tuple[str, tuple[str, ...]], ...] = ()
    honor_labels: bool = False
    honor_timestamps: bool = True
    track_timestamps_staleness: bool = False
    protocols: tuple[str, ...] = DEFAULT_PROTOCOLS
    fallback_protocol: str = ""
    compression: bool = True
    native_histograms: bool = False
    classic_histograms: bool = False
    groups: tuple[Group, ...] = ()
    files: tuple[FileDiscovery, ...] = ()
    http: tuple[HttpDiscovery, ...] = ()
    relabel: tuple[Rule, ...] = ()
    metric_relabel: tuple[Rule, ...] = ()
    access: Access = Access()
    limits: Limits = Limits()


@dataclass(frozen=True)
class Scraping:
    """All jobs of a file and of those it names. `unread` are sections of a `prometheus.yml` that are not for us."""

    jobs: tuple[Job, ...] = ()
    files: tuple[Path, ...] = ()
    unread: tuple[str, ...] = field(default=())
