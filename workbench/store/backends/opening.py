"""Which back end a URL names."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from workbench.config import Settings
from workbench.errors import ConfigError
from workbench.store.backends.http import shown_url
from workbench.store.backends.protocols import TimeSeriesStore, Warehouse
from workbench.store.backends.remote_view import RemoteView
from workbench.store.follow import Follower

Reader = Follower | RemoteView
"""A view that brings itself up to date: `refresh`."""

LAKE = "lake"

TIMESERIES = {
    "prometheus+http": ("prometheus", "Prometheus"),
    "prometheus+https": ("prometheus", "Prometheus"),
    "victoriametrics+http": ("victoriametrics", "VictoriaMetrics"),
    "victoriametrics+https": ("victoriametrics", "VictoriaMetrics"),
    "influxdb+http": ("influxdb", "InfluxDB"),
    "influxdb+https": ("influxdb", "InfluxDB"),
}
"""Scheme of a URL -> module and class of a `TimeSeriesStore`."""

WAREHOUSES = {
    "clickhouse": ("clickhouse", "ClickHouse"),
    "clickhouses": ("clickhouse", "ClickHouse"),
    "chdb": ("clickhouse", "ClickHouse"),
    "bigquery": ("bigquery", "BigQuery"),
}
"""Scheme of a URL -> module and class of a `Warehouse`."""

_EXTRA = "Install the extra: workbench[backends]."


def open_timeseries(url: str) -> TimeSeriesStore:
    """The time-series store that a URL names. Raises ConfigError for one that is not known."""
    return _opened(url, TIMESERIES, "store.timeseries")


def open_warehouse(url: str) -> Warehouse:
    """The warehouse that a URL names. Raises ConfigError for one that is not known, or whose driver is missing."""
    return _opened(url, WAREHOUSES, "store.warehouse")


def open_view(settings: Settings, *, version: str | None = None) -> Reader:
    """Read a home, whether or not a workbench runs there; an empty home gives an empty view.

    It answers from log and lake, or from the back ends that the settings name. With `version` only what that manifest
    of the lake names, for ever the same. Raises LayoutUnknown, VersionGone, LogCorrupt; ConfigError, StoreError.
    """
    local = Follower(settings, version=version)
    timeseries, warehouse = settings.store.timeseries, settings.store.warehouse
    if version is not None or (timeseries == LAKE and warehouse == LAKE):
        return local
    return RemoteView(
        local,
        None if timeseries == LAKE else open_timeseries(timeseries),
        None if warehouse == LAKE else open_warehouse(warehouse),
    )


def _opened(url: str, known: Mapping[str, tuple[str, str]], setting: str) -> Any:
    scheme = urlsplit(url).scheme
    if scheme not in known:
        hint = f"There are: {LAKE}, {', '.join(f'{name}://…' for name in known)}."
        raise ConfigError(f"no back end {scheme or shown_url(url)!r}", where=setting, hint=hint)
    module, name = known[scheme]
    try:
        made = getattr(import_module(f"workbench.store.backends.{module}"), name)
    except ImportError as error:
        raise ConfigError(f"its driver is missing: {error.name}", where=setting, hint=_EXTRA) from error
    return made(url)
