"""OpenTelemetry names -> Prometheus names, by the compatibility specification.

Source: OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility" (1.38), as Prometheus' own OTLP receiver
does it with suffixes and escaping: a unit suffix, `_ratio` for gauges of unit 1, `_total` for counters;
`service.namespace`/`service.name` -> `job`, `service.instance.id` -> `instance`; promoted resource attributes become
labels, all of them stand in `target_info`. Series of the Prometheus convention keep their names and labels.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from workbench.query.promql.text import format_plain

if TYPE_CHECKING:
    from workbench.store import Series

Labels = tuple[tuple[str, str], ...]
"""A label set: pairs sorted by name, without empty values."""

PROMOTED = ("service.version", "deployment.environment.name", "host.name")
"""Resource attributes that become labels of every series."""

_IDENTIFYING = ("service.name", "service.namespace", "service.instance.id")

# Base units of UCUM that the specification spells out, and those after a slash.
_UNITS = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds",
    "ns": "nanoseconds", "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes",
    "TiBy": "tebibytes", "KBy": "kilobytes", "kBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes",
    "TBy": "terabytes", "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams",
    "Cel": "celsius", "Hz": "hertz", "1": "", "%": "percent",
}  # fmt: skip
_PER = {"s": "second", "m": "minute", "min": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}

_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_IN_LABEL = re.compile(r"[^a-zA-Z0-9_]")


@lru_cache(maxsize=65_536)
def metric_name(name: str, unit: str, type_: str) -> str:
    """The Prometheus name of a metric, e.g. `system.cpu.time` in `s` -> `system_cpu_time_seconds_total`.

    A name of which nothing is left becomes `_`.
    """
    tokens = [token for token in _NOT_IN_NAME.split(name) if token]
    for suffix in _unit_suffixes(unit):
        if suffix and suffix not in tokens:
            tokens.append(suffix)
    if type_ == "counter":
        tokens = [token for token in tokens if token != "total"] + ["total"]
    if unit == "1" and type_ == "gauge":
        tokens = [token for token in tokens if token != "ratio"] + ["ratio"]
    found = "_".join(tokens) or "_"
    return f"_{found}" if found[0].isdigit() else found


@lru_cache(maxsize=65_536)
def label_name(attribute: str) -> str:
    """The Prometheus name of an attribute, e.g. `http.route` -> `http_route`."""
    found = _NOT_IN_LABEL.sub("_", attribute) or "_"
    if found[0].isdigit():
        return f"key_{found}"
    if found.startswith("_") and not found.startswith("__"):
        return f"key{found}"
    return found


def prometheus_labels(series: Series) -> dict[str, str]:
    """The labels under which PromQL sees a series, `__name__` included."""
    identity = series.identity
    if identity.convention == "prometheus":
        return {"__name__": identity.name, **{name: value for name, value in identity.attributes if value}}
    resource = dict(identity.resource)
    labels = _joined(identity.attributes)
    for name in PROMOTED:
        if resource.get(name):
            labels[label_name(name)] = resource[name]
    labels.update(_target(resource))
    name = metric_name(identity.name, identity.unit, identity.type)
    if identity.part == "quantile":
        labels["quantile"] = format_plain(identity.bound or 0.0)
    elif identity.part == "bucket":
        labels["le"] = format_plain(float("inf") if identity.bound is None else identity.bound)
    suffix = "" if identity.part in ("", "quantile") else f"_{identity.part}"
    return {"__name__": name + suffix, **{name: value for name, value in labels.items() if value}}


def target_info(resource: Iterable[tuple[str, str]]) -> Labels | None:
    """The labels of a resource's `target_info`: `job`, `instance` and all its other attributes.

    None where nothing identifies the resource, or it has nothing but its identity.
    """
    known = dict(resource)
    identity = _target(known)
    rest = _joined((name, value) for name, value in known.items() if name not in _IDENTIFYING)
    if not identity or not any(rest.values()):
        return None
    return label_set({**rest, **identity, "__name__": "target_info"})


def label_set(labels: Mapping[str, str]) -> Labels:
    """The canonical form of labels: sorted pairs; empty values are the same as none.

    The texts are interned: an index holds the same few words in very many series.
    """
    return tuple(sorted((sys.intern(name), sys.intern(value)) for name, value in labels.items() if value))


def _target(resource: Mapping[str, str]) -> dict[str, str]:
    service = resource.get("service.name", "")
    namespace = resource.get("service.namespace", "")
    job = f"{namespace}/{service}" if namespace and service else service
    found = {"job": job, "instance": resource.get("service.instance.id", "")}
    return {name: value for name, value in found.items() if value}


def _joined(attributes: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Attributes as labels; values whose names become the same are joined by `;` in the order of their names."""
    labels: dict[str, str] = {}
    for attribute, value in sorted(attributes):
        name = label_name(attribute)
        labels[name] = f"{labels[name]};{value}" if name in labels else value
    return labels


def _unit_suffixes(unit: str) -> tuple[str, str]:
    main, _, per = (part.strip() for part in unit.partition("/"))
    main = "" if "{" in main or "}" in main else _UNITS.get(main, main)
    per = "" if "{" in per or "}" in per else _PER.get(per, per)
    clean = [_NOT_IN_NAME.sub("_", part).strip("_") for part in (main, per)]
    return clean[0], f"per_{clean[1]}" if clean[1] else ""
