"""A view that shows only some rows: those of a person or a role, by label matchers.

A series is shown by its own labels, as PromQL sees them, and its `target_info` with it. Rows of tables are shown by
`row_fields`. What is hidden is as if nobody had ever sent it: no count, name, label value or absence tells of it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from workbench.errors import Forbidden
from workbench.query.days import partitions
from workbench.query.matchers import Condition, Matchers, canonical
from workbench.query.names import prometheus_labels
from workbench.query.promql import Matcher
from workbench.query.row_fields import deciding_columns, rows_shown
from workbench.schema import KINDS
from workbench.store import HistogramSamples, RolledUp, Samples, SeriesRegistry, View

_EVER_US = 2**62


def limited(view: View, matchers: Sequence[Matcher]) -> View:
    """The same view, showing only what meets all matchers; the view itself where there are none."""
    return LimitedView(view, canonical(matchers)) if matchers else view


def limits_of(view: View) -> Matchers:
    """What the rows of a view have to meet; empty where it shows all."""
    return view.matchers if isinstance(view, LimitedView) else ()


class LimitedView(View):
    """A view through another. Thread-safe; follows what that one takes in.

    Two people with the same rows may share one; its label index is built once.
    """

    def __init__(self, view: View, matchers: Matchers) -> None:
        # Not View.__init__: nothing is held here but what is shown, so that what is not overridden reads nothing.
        self.matchers = matchers
        self._view = view
        self._condition = Condition(matchers)
        self._shown = SeriesRegistry()
        self._ids = np.empty(0, np.int64)
        self._seen = 0
        self._taking = threading.Lock()

    @property
    def registry(self) -> SeriesRegistry:
        """The series that are shown, up to date."""
        generation = self._view.registry.generation
        if generation != self._seen:
            with self._taking:
                fresh = self._view.registry.since(self._seen)
                shown = [one for one in fresh if self._condition.shows(prometheus_labels(one))]
                self._shown.add(shown)
                self._ids = np.union1d(self._ids, np.array([one.id for one in shown], np.int64))
                self._seen = max(self._seen, generation)
        return self._shown

    @property
    def latest_us(self) -> int:
        """Time of the newest sample of all: how fresh the workbench is, which is nobody's row."""
        return self._view.latest_us

    @property
    def lake_version(self) -> str:
        """Id of the manifest that is read."""
        return self._view.lake_version

    def version_at(self, time_us: int) -> str:
        """Id of the manifest that was the newest at a time. Raises VersionGone."""
        return self._view.version_at(time_us)

    @property
    def sealed_segment(self) -> int:
        """Highest log segment that the lake holds."""
        return self._view.sealed_segment

    def refresh(self) -> bool:
        """Follow the log, where the view behind does."""
        follow = getattr(self._view, "refresh", None)
        return bool(follow()) if follow else False

    def samples(self, ids: np.ndarray, start_us: int, end_us: int, *, version: str | None = None) -> Samples:
        """As the view behind; a hidden series is there, and empty."""
        wanted = np.unique(np.asarray(ids, np.int64))
        more = {"version": version} if version is not None else {}
        found = self._view.samples(wanted[np.isin(wanted, self._shown_ids())], start_us, end_us, **more)
        counts = np.zeros(len(wanted), np.int64)
        counts[np.searchsorted(wanted, found.ids)] = np.diff(found.offsets)
        return Samples(wanted, np.concatenate(([0], np.cumsum(counts))), found.times_us, found.values)

    def histograms(
        self, ids: np.ndarray, start_us: int, end_us: int, *, version: str | None = None
    ) -> HistogramSamples:
        """As the view behind; a hidden series is there, and empty."""
        wanted = np.unique(np.asarray(ids, np.int64))
        more = {"version": version} if version is not None else {}
        found = self._view.histograms(wanted[np.isin(wanted, self._shown_ids())], start_us, end_us, **more)
        counts = np.zeros(len(wanted), np.int64)
        counts[np.searchsorted(wanted, found.ids)] = np.diff(found.offsets)
        return replace(found, ids=wanted, offsets=np.concatenate(([0], np.cumsum(counts))))

    def rolled(self) -> RolledUp:
        """How far roll-ups stand for samples: nobody's row."""
        return self._view.rolled()

    def rollups(self, name: str, ids: np.ndarray, start_us: int, end_us: int, columns: Sequence[str]) -> pa.Table:
        """As the view behind; a hidden series has none."""
        wanted = np.unique(np.asarray(ids, np.int64))
        return self._view.rollups(name, wanted[np.isin(wanted, self._shown_ids())], start_us, end_us, columns)

    def exemplars(self, ids: np.ndarray, start_us: int, end_us: int, *, version: str | None = None) -> pa.Table:
        """As the view behind, without those of hidden series."""
        wanted = np.unique(np.asarray(ids, np.int64))
        more = {"version": version} if version is not None else {}
        return self._view.exemplars(wanted[np.isin(wanted, self._shown_ids())], start_us, end_us, **more)

    def table(
        self,
        kind: str,
        *,
        start_us: int | None = None,
        end_us: int | None = None,
        columns: Sequence[str] | None = None,
        version: str | None = None,
    ) -> pa.Table:
        """As the view behind, without the rows that are hidden; all of `audit` is. Raises StoreError, VersionGone."""
        if kind not in KINDS:
            return self._view.table(kind, columns=columns)
        names = list(columns) if columns is not None else KINDS[kind].schema.names
        asked = [*names, *(name for name in _deciding(kind) if name not in names)]
        parts = []
        for first, last in _stretches(self._view, kind, start_us, end_us):
            rows = self._view.table(kind, start_us=first, end_us=last, columns=asked, version=version)
            parts.append(rows.filter(pa.array(self._rows_shown(kind, rows))).select(names))
        return pa.concat_tables(parts)

    @property
    def version_time_us(self) -> int:
        """When the manifest that is read was written."""
        return self._view.version_time_us

    def days(self, kind: str, *, version: str | None = None) -> list[int]:
        """Days of which the lake has rows of anybody's: how old the data is, which is nobody's row."""
        return self._view.days(kind, version=version)

    def files(self, kind: str, *, version: str | None = None) -> list[str]:
        """Refused: a file holds everybody's rows. Raises Forbidden."""
        raise Forbidden(
            "files hold rows that are hidden from you", where=kind, hint="Ask for the table, or in PromQL or SQL."
        )

    def _rows_shown(self, kind: str, rows: pa.Table) -> np.ndarray:
        if kind == "audit":
            return np.zeros(rows.num_rows, bool)
        if kind in ("series", "samples"):
            found = pc.is_in(rows.column("series"), value_set=pa.array(self._shown_ids()))
            return found.to_numpy() if isinstance(found, pa.ChunkedArray) else found.to_numpy(zero_copy_only=False)
        return rows_shown(kind, rows, self.matchers)

    def _shown_ids(self) -> np.ndarray:
        """Ids of the series that are shown, ascending."""
        assert self.registry is self._shown  # which takes in what is new
        return self._ids

    def reload(self) -> None:
        """Nothing: the view behind starts again by itself."""

    def close(self) -> None:
        """Nothing: the view behind is somebody else's too."""

    def warm(self) -> None:
        """Nothing: the view behind has the head."""

    def lake_moved(self) -> bool:
        """False: the view behind looks by itself."""
        return False

    def accept(
        self, segment: int, offset: int, batches: Mapping[str, pa.RecordBatch], *, registered: bool = False
    ) -> None:
        """Refused: this view is read only. Raises Forbidden."""
        raise Forbidden("rows are written to the view behind")


def _deciding(kind: str) -> list[str]:
    if kind in ("series", "samples"):
        return ["series"]
    return deciding_columns(kind) if kind != "audit" else []


def _stretches(view: View, kind: str, start_us: int | None, end_us: int | None) -> list[tuple[int | None, int | None]]:
    """A day at a time where no key spans days, so that what is hidden is never in memory as a whole."""
    if KINDS[kind].time not in KINDS[kind].key:
        return [(start_us, end_us)]
    low, high = (bound if bound is not None else ever for bound, ever in ((start_us, -_EVER_US), (end_us, _EVER_US)))
    found = []
    for first, last in zip(*partitions(view, kind), strict=True):
        begin = low if first is None else max(low, first)
        end = high if last is None else min(high, last)
        if begin <= end:
            found.append((begin if begin > -_EVER_US else None, end if end < _EVER_US else None))
    return found or [(start_us, end_us)]
