"""A view made of arrays in memory, with the store's signatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from workbench.schema import KINDS
from workbench.store import RolledUp
from workbench.store.exemplars import SHOWN
from workbench.store.histograms import HistogramSamples, from_rows
from workbench.store.registry import Identity, Series, SeriesRegistry

SECOND = 1_000_000


@dataclass(frozen=True)
class Samples:
    ids: np.ndarray
    offsets: np.ndarray
    times_us: np.ndarray
    values: np.ndarray


class ArrayView:
    """`put` series and their samples, then ask as one asks the store."""

    def __init__(self) -> None:
        self.registry = SeriesRegistry()
        self.lake_version = "m1"
        self._data: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._histograms: dict[int, pa.Table] = {}
        self._starts: dict[int, Sequence[int | None]] = {}
        self._exemplars: list[dict[str, Any]] = []

    def put(self, identity: Identity, times_us: Sequence[int], values: Sequence[float], description: str = "") -> int:
        number = len(self.registry) + 1
        self.registry.add([Series(number, identity, description, "", "test", 0)])
        self._data[number] = np.asarray(times_us, np.int64), np.asarray(values, np.float64)
        return number

    def metric(
        self,
        name: str,
        labels: Mapping[str, str],
        times_s: Sequence[float],
        values: Sequence[float],
        type_: str = "gauge",
        starts_us: Sequence[int | None] | None = None,
    ) -> int:
        """A series of the Prometheus convention; times in seconds; where known, when its samples began to count."""
        identity = Identity("prometheus", name, type_, "", "", (), tuple(sorted(labels.items())))
        number = self.put(identity, (np.asarray(times_s, float) * SECOND).round(), values)
        if starts_us is not None:
            self._starts[number] = starts_us
        return number

    def table(self, kind: str, *, start_us: int, end_us: int, columns: Sequence[str]) -> pa.Table:
        """When float samples began to count."""
        assert (kind, *columns) == ("samples", "series", "time", "start_time")
        rows = [
            {"series": number, "time": time, "start_time": start}
            for number, starts in self._starts.items()
            for time, start in zip(self._data[number][0].tolist(), starts, strict=True)
            if start_us <= time <= end_us
        ]
        time = pa.timestamp("us", tz="UTC")
        return pa.Table.from_pylist(rows, pa.schema([("series", pa.int64()), ("time", time), ("start_time", time)]))

    def native(
        self,
        name: str,
        labels: Mapping[str, str],
        times_s: Sequence[float],
        histograms: Sequence[Mapping[str, Any] | None],
        starts_us: Sequence[int | None] | None = None,
    ) -> int:
        """A series of native histograms, as `schema.NATIVE_HISTOGRAM` has them; None is a staleness marker."""
        identity = Identity("prometheus", name, "native_histogram", "", "", (), tuple(sorted(labels.items())))
        return self.native_of(identity, times_s, histograms, starts_us)

    def native_of(
        self,
        identity: Identity,
        times_s: Sequence[float],
        histograms: Sequence[Mapping[str, Any] | None],
        starts_us: Sequence[int | None] | None = None,
    ) -> int:
        """The same under an identity of any convention."""
        number = self.put(identity, [], [])
        rows = [
            {"series": number, "time": round(time * SECOND), "type": 1, "stale": one is None, "histogram": one}
            | {"start_time": start}
            for time, one, start in zip(times_s, histograms, starts_us or [None] * len(times_s), strict=True)
        ]
        self._histograms[number] = pa.Table.from_pylist(rows, KINDS["samples"].schema)
        return number

    def exemplar(self, series: int, time_s: float, value: float, **attributes: str) -> None:
        """An exemplar that a sample of that time bears."""
        at = round(time_s * SECOND)
        struct = {"time": at, "value": value, "trace_id": attributes.pop("trace_id", ""), "span_id": ""}
        struct["attributes"] = list(attributes.items())
        self._exemplars.append({"series": series, "time": at, "exemplar": struct})

    def exemplars(self, ids: np.ndarray, start_us: int, end_us: int, **_: Any) -> pa.Table:
        wanted = set(np.asarray(ids).tolist())
        rows = [one for one in self._exemplars if one["series"] in wanted and start_us <= one["time"] <= end_us]
        return pa.Table.from_pylist(rows, SHOWN)

    def histograms(self, ids: np.ndarray, start_us: int, end_us: int, **_: Any) -> HistogramSamples:
        wanted = np.unique(ids)
        found = [self._histograms[number] for number in wanted.tolist() if number in self._histograms]
        rows = pa.concat_tables([KINDS["samples"].schema.empty_table(), *found])
        times = rows["time"].cast(pa.int64()).to_numpy()
        return from_rows(rows.filter(pa.array((times >= start_us) & (times <= end_us))), wanted)

    @property
    def latest_us(self) -> int:
        return max((int(times[-1]) for times, _ in self._data.values() if len(times)), default=0)

    def rolled(self) -> RolledUp:
        """No roll-ups."""
        return RolledUp(0, {})

    def days(self, kind: str, *, version: str | None = None) -> list[int]:
        """None: it is read in one piece."""
        return []

    def samples(self, ids: np.ndarray, start_us: int, end_us: int, *, version: str | None = None) -> Samples:
        parts = []
        for number in ids:
            times, values = self._data[int(number)]
            inside = (times >= start_us) & (times <= end_us)
            parts.append((times[inside], values[inside]))
        offsets = np.concatenate(([0], np.cumsum([len(times) for times, _ in parts]))).astype(np.int64)
        return Samples(
            np.asarray(ids),
            offsets,
            np.concatenate([times for times, _ in parts]) if parts else np.empty(0, np.int64),
            np.concatenate([values for _, values in parts]) if parts else np.empty(0),
        )
