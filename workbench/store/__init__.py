"""The store: one truth, hot in the log and cold in the lake."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.store.backends.http import shown_url
    from workbench.store.backends.opening import (
        LAKE,
        WAREHOUSES,
        Reader,
        open_timeseries,
        open_view,
        open_warehouse,
    )
    from workbench.store.backends.protocols import LabelledSamples, LabelMatcher, TimeSeriesStore, Warehouse
    from workbench.store.backup import Contents, back_up
    from workbench.store.batches import decode_batches, encode_batches
    from workbench.store.client import RemoteWriter, answer, attach
    from workbench.store.compaction import compact
    from workbench.store.doctor import Backup, Finding, apply_remedies, examine_home
    from workbench.store.follow import Follower
    from workbench.store.histograms import (
        Histograms,
        HistogramSamples,
        concatenate_histograms,
        histogram_values,
        histograms_from_tables,
        histograms_to_tables,
        no_histograms,
    )
    from workbench.store.index.build import build_index, drop_index
    from workbench.store.index.inspection import index_coverage, verify_index
    from workbench.store.lake import Lake
    from workbench.store.lifecycle.erase import erase_series
    from workbench.store.lifecycle.rules import Rule, read_rules
    from workbench.store.lifecycle.sizes import TableSize, table_sizes
    from workbench.store.lock import FileLock
    from workbench.store.registry import Identity, Series, SeriesRegistry, series_batch, series_rows
    from workbench.store.restoring import read_contents, restore
    from workbench.store.retention import Going, Retained, apply_retention
    from workbench.store.rollups.fold import fold
    from workbench.store.rollups.update import update_rollups
    from workbench.store.samples import Samples
    from workbench.store.state_copy import copy_state
    from workbench.store.view import RolledUp, View
    from workbench.store.wal import Position
    from workbench.store.writer import Appended, Writer, open_writer

# Arrow, numba and deltalake take most of a second to import; who only wants a name does not wait for them.
_HOMES = {
    "Appended": "writer",
    "Backup": "doctor",
    "Contents": "backup",
    "FileLock": "lock",
    "Finding": "doctor",
    "Follower": "follow",
    "HistogramSamples": "histograms",
    "Histograms": "histograms",
    "Going": "retention",
    "Identity": "registry",
    "LAKE": "backends.opening",
    "LabelMatcher": "backends.protocols",
    "LabelledSamples": "backends.protocols",
    "Lake": "lake",
    "Position": "wal",
    "Reader": "backends.opening",
    "RemoteWriter": "client",
    "Retained": "retention",
    "Rule": "lifecycle.rules",
    "RolledUp": "view",
    "Samples": "samples",
    "Series": "registry",
    "SeriesRegistry": "registry",
    "TimeSeriesStore": "backends.protocols",
    "View": "view",
    "WAREHOUSES": "backends.opening",
    "Warehouse": "backends.protocols",
    "Writer": "writer",
    "answer": "client",
    "apply_remedies": "doctor",
    "apply_retention": "retention",
    "attach": "client",
    "build_index": "index.build",
    "drop_index": "index.build",
    "index_coverage": "index.inspection",
    "verify_index": "index.inspection",
    "back_up": "backup",
    "compact": "compaction",
    "copy_state": "state_copy",
    "concatenate_histograms": "histograms",
    "decode_batches": "batches",
    "encode_batches": "batches",
    "examine_home": "doctor",
    "histogram_values": "histograms",
    "histograms_from_tables": "histograms",
    "histograms_to_tables": "histograms",
    "no_histograms": "histograms",
    "erase_series": "lifecycle.erase",
    "fold": "rollups.fold",
    "read_rules": "lifecycle.rules",
    "open_timeseries": "backends.opening",
    "open_view": "backends.opening",
    "open_warehouse": "backends.opening",
    "open_writer": "writer",
    "read_contents": "restoring",
    "restore": "restoring",
    "series_batch": "registry",
    "series_rows": "registry",
    "TableSize": "lifecycle.sizes",
    "table_sizes": "lifecycle.sizes",
    "shown_url": "backends.http",
    "update_rollups": "rollups.update",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "LAKE",
    "WAREHOUSES",
    "Appended",
    "Backup",
    "Contents",
    "FileLock",
    "Finding",
    "Follower",
    "Going",
    "HistogramSamples",
    "Histograms",
    "Identity",
    "LabelMatcher",
    "LabelledSamples",
    "Lake",
    "Position",
    "Reader",
    "RemoteWriter",
    "Retained",
    "RolledUp",
    "Rule",
    "Samples",
    "Series",
    "SeriesRegistry",
    "TableSize",
    "TimeSeriesStore",
    "View",
    "Warehouse",
    "Writer",
    "answer",
    "apply_remedies",
    "apply_retention",
    "attach",
    "back_up",
    "build_index",
    "compact",
    "concatenate_histograms",
    "copy_state",
    "decode_batches",
    "drop_index",
    "encode_batches",
    "erase_series",
    "examine_home",
    "fold",
    "histogram_values",
    "histograms_from_tables",
    "histograms_to_tables",
    "index_coverage",
    "no_histograms",
    "open_timeseries",
    "open_view",
    "open_warehouse",
    "open_writer",
    "read_contents",
    "read_rules",
    "restore",
    "series_batch",
    "series_rows",
    "shown_url",
    "table_sizes",
    "update_rollups",
    "verify_index",
]
