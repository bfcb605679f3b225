"""A scrape file: `global`, `scrape_configs` and `scrape_config_files` as in `prometheus.yml`, into frozen settings."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import yaml

from workbench.errors import ConfigError
from workbench.ingest.scrape.access import read_access
from workbench.ingest.scrape.blocks import Block, Fault, read_root
from workbench.ingest.scrape.relabel import ACTIONS, DEFAULT_REGEX, Rule
from workbench.ingest.scrape.settings import (
    DEFAULT_PROTOCOLS,
    PROTOCOLS,
    FileDiscovery,
    Group,
    HttpDiscovery,
    Job,
    Limits,
    Scraping,
)

UNREAD = (
    "alerting", "rule_files", "remote_write", "remote_read", "storage", "tsdb", "tracing", "runtime", "otlp",
)  # fmt: skip
"""Sections of a `prometheus.yml` that have nothing to do with scraping."""

ELSEWHERE = (
    "azure", "consul", "digitalocean", "dns", "docker", "dockerswarm", "ec2", "eureka", "gce", "hetzner", "ionos",
    "kubernetes", "kuma", "lightsail", "linode", "marathon", "nerve", "nomad", "openstack", "ovhcloud", "puppetdb",
    "scaleway", "serverset", "stackit", "triton", "uyuni", "vultr", "xds", "zookeeper",
)  # fmt: skip
"""Discoveries that Prometheus has and we do not; a small program that writes a `file_sd` file stands in for each."""

_IGNORED_GLOBAL = (
    "evaluation_interval", "rule_query_offset", "external_labels", "query_log_file", "scrape_failure_log_file",
    "metric_name_escaping_scheme", "native_histogram_bucket_limit", "keep_dropped_targets",
)  # fmt: skip
_IGNORED_JOB = (
    "enable_http2", "keep_dropped_targets", "native_histogram_bucket_limit", "native_histogram_min_bucket_factor",
    "metric_name_escaping_scheme", "scrape_failure_log_file", "extra_scrape_metrics",
)  # fmt: skip


def read_scraping(file: Path) -> Scraping:
    """The jobs of a file and of the files that it names. Raises ConfigError with every fault, a line each."""
    faults: list[Fault] = []
    root = read_root(file, faults)
    found = Scraping(files=(file,)) if root is None else _Reader(file, faults).root(root)
    if faults:
        lines = "\n".join(map(str, sorted(faults, key=lambda fault: (str(fault.file), fault.line))))
        raise ConfigError(lines, hint="`workbench scrape check` checks it again")
    return found


class _Reader:
    """Reads one scrape file, and the files that it names with its `global` as their defaults."""

    def __init__(self, file: Path, faults: list[Fault]) -> None:
        self._folder = file.parent
        self._file = file
        self._faults = faults
        self._defaults = Job("")

    def root(self, root: Block) -> Scraping:
        if (block := root.block("global")) is not None:
            self._defaults = self._common(block, self._defaults)
            for key in _IGNORED_GLOBAL:
                block.has(key)
            block.end()
        jobs = [self._job(block) for block in root.blocks("scrape_configs")]
        files = [self._file]
        for pattern in root.texts("scrape_config_files"):
            for name in sorted(glob.glob(str(self._folder / pattern))):
                files.append(Path(name))
                if (inner := read_root(Path(name), self._faults)) is not None:
                    jobs += [self._job(block) for block in inner.blocks("scrape_configs")]
                    inner.end()
        unread = tuple(key for key in UNREAD if root.has(key))
        root.end()
        self._once(root, [job for job in jobs if job])
        return Scraping(tuple(job for job in jobs if job), tuple(files), unread)

    def _once(self, root: Block, jobs: Iterable[Job]) -> None:
        names: set[str] = set()
        for job in jobs:
            if job.name in names:
                root.fault("scrape_configs", f"there are two jobs {job.name!r}")
            names.add(job.name)

    def _common(self, block: Block, before: Job) -> Job:
        """What a job has and `global` may set for all."""
        interval = block.seconds("scrape_interval", before.interval_seconds)
        # A shorter interval takes the timeout that nobody set with it.
        timeout = block.seconds("scrape_timeout", min(before.timeout_seconds, interval))
        if timeout > interval:
            block.fault("scrape_timeout", f"scrape_timeout {timeout:g}s is longer than scrape_interval {interval:g}s")
        bounds = before.limits
        limits = Limits(
            samples=block.whole("sample_limit", bounds.samples),
            labels=block.whole("label_limit", bounds.labels),
            label_name_bytes=block.whole("label_name_length_limit", bounds.label_name_bytes),
            label_value_bytes=block.whole("label_value_length_limit", bounds.label_value_bytes),
            targets=block.whole("target_limit", bounds.targets),
            body_bytes=block.bytes("body_size_limit", bounds.body_bytes),
        )
        native = block.flag("scrape_native_histograms", before.native_histograms)
        default = before.protocols
        if native and default == DEFAULT_PROTOCOLS:  # only one protocol has them
            default = ("PrometheusProto", *DEFAULT_PROTOCOLS)
        protocols = block.texts("scrape_protocols") or default
        for name in protocols:
            if name not in PROTOCOLS:
                block.fault("scrape_protocols", f"there is no protocol {name!r}; there are: {', '.join(PROTOCOLS)}")
        classic = block.flag(
            "always_scrape_classic_histograms", block.flag("scrape_classic_histograms", before.classic_histograms)
        )
        if block.flag("convert_classic_histograms_to_nhcb", False):
            block.fault("convert_classic_histograms_to_nhcb", "classic histograms stay classic here; leave it false")
        block.choice("metric_name_validation_scheme", ("utf8",), "utf8")
        return replace(
            before,
            interval_seconds=interval,
            timeout_seconds=timeout,
            limits=limits,
            protocols=tuple(name for name in protocols if name in PROTOCOLS) or DEFAULT_PROTOCOLS,
            fallback_protocol=block.choice("fallback_scrape_protocol", tuple(PROTOCOLS), before.fallback_protocol),
            native_histograms=native,
            classic_histograms=classic,
        )

    def _job(self, block: Block) -> Job | None:
        for key in _IGNORED_JOB:
            block.has(key)
        for name in ELSEWHERE:
            if block.has(f"{name}_sd_configs"):
                block.fault(f"{name}_sd_configs", f"there is no {name}_sd here; write its targets to a file_sd file")
        name = block.text("job_name")
        if not name:
            block.fault("job_name", "a job needs a job_name")
        job = replace(
            self._common(block, self._defaults),
            name=name,
            metrics_path=block.text("metrics_path", "/metrics"),
            scheme=block.choice("scheme", ("http", "https"), "http"),
            params=tuple(block.lists("params").items()),
            honor_labels=block.flag("honor_labels", False),
            honor_timestamps=block.flag("honor_timestamps", True),
            track_timestamps_staleness=block.flag("track_timestamps_staleness", False),
            compression=block.flag("enable_compression", True),
            groups=tuple(self._group(one, f"{name}/{at}") for at, one in enumerate(block.blocks("static_configs"))),
            files=tuple(self._file_discovery(one) for one in block.blocks("file_sd_configs")),
            http=tuple(self._http_discovery(one) for one in block.blocks("http_sd_configs")),
            relabel=tuple(rule for one in block.blocks("relabel_configs") if (rule := read_rule(one))),
            metric_relabel=tuple(rule for one in block.blocks("metric_relabel_configs") if (rule := read_rule(one))),
            access=read_access(block),
        )
        block.end()
        return job if name else None

    def _group(self, block: Block, source: str) -> Group:
        group = Group(source, block.texts("targets"), tuple(block.mapping("labels").items()))
        for label, _ in group.labels:
            if not label:
                block.fault("labels", "a label has no name")
        for address in group.addresses:
            if "/" in address or not address:
                block.fault("targets", f"{address!r} is not an address such as host:9100; the path is metrics_path")
        block.end()
        return group

    def _file_discovery(self, block: Block) -> FileDiscovery:
        patterns = block.texts("files")
        for pattern in patterns:
            if not re.fullmatch(r"[^*]*(\*[^/]*)?\.(json|yml|yaml)", pattern):
                block.fault("files", f"{pattern!r} must end in .json, .yml or .yaml, and have * in its last part only")
        found = FileDiscovery(
            tuple(str(self._folder / pattern) for pattern in patterns), block.seconds("refresh_interval", 300)
        )
        block.end()
        return found

    def _http_discovery(self, block: Block) -> HttpDiscovery:
        url = block.text("url")
        if not re.match(r"https?://[^/]+", url):
            block.fault("url", f"{url!r} is not an http or https address")
        block.has("enable_http2")
        found = HttpDiscovery(url, block.seconds("refresh_interval", 60), read_access(block))
        block.end()
        return found


def read_rule(block: Block) -> Rule | None:
    """A relabelling rule; None, with a fault noted, where it cannot be one."""
    before = len(block.faults)
    action = block.choice("action", ACTIONS, "replace") if not block.has("action") else _action(block)
    target, modulus = block.text("target_label"), block.whole("modulus")
    regex = _regex(block)
    rule = Rule(
        action=action,
        source_labels=block.texts("source_labels"),
        separator=block.text("separator", ";"),
        target_label=target,
        regex=regex,
        modulus=modulus,
        replacement=block.text("replacement", "$1"),
    )
    if action in ("replace", "keepequal", "dropequal", "hashmod", "lowercase", "uppercase") and not target:
        block.fault("action", f"{action} needs a target_label")
    if action == "hashmod" and not modulus:
        block.fault("action", "hashmod needs a modulus over 0")
    if action in ("hashmod", "lowercase", "uppercase", "keepequal", "dropequal") and "$" in target:
        block.fault("target_label", f"{action} takes no $ in its target_label")
    block.end()
    return rule if len(block.faults) == before else None


def _action(block: Block) -> str:
    # Prometheus takes actions in any case.
    node = block.nodes["action"]
    if isinstance(node, yaml.ScalarNode):
        node.value = str(node.value).lower()
    return block.choice("action", ACTIONS, "replace")


def _regex(block: Block) -> re.Pattern[str]:
    text = block.text("regex", DEFAULT_REGEX)
    try:
        return re.compile(text, re.DOTALL)
    except (re.error, OverflowError, RecursionError) as error:
        block.fault("regex", f"{text!r} is not a regular expression: {error}")
        return re.compile(DEFAULT_REGEX, re.DOTALL)
