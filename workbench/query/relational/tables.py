"""The tables of a statement: every kind of the lake, and the two that people ask for most.

`measurements` are the float samples under the names and labels that PromQL sees; `metrics` is what there is to ask
for. Nothing is read before DuckDB asks, and then only the columns, times and series that it asks for.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from workbench.query.days import partitions
from workbench.query.index import LabelIndex, Row, label_index
from workbench.query.relational.conditions import EVER_US, Condition, columns_of, survivors, time_bounds
from workbench.query.samples import Budget, Loaded, read
from workbench.schema import KINDS, TIME, Kind

if TYPE_CHECKING:
    from workbench.store import View

MEASUREMENTS = pa.schema(
    [
        pa.field("time", TIME, False),
        pa.field("metric", pa.string(), False),
        pa.field("value", pa.float64(), False),
        pa.field("unit", pa.string(), False),
        pa.field("job", pa.string(), False),
        pa.field("instance", pa.string(), False),
        pa.field("labels", pa.map_(pa.string(), pa.string()), False),
    ]
)
"""Of `measurements`; a label that a series does not have is '' in `job` and `instance`, and missing in `labels`."""

METRICS = pa.schema([(name, pa.string()) for name in ("metric", "type", "unit", "help")] + [("series", pa.int64())])
"""Of `metrics`: one row a metric, with the number of its series."""

MEANINGS = {
    "measurements": "Measurements under the names and labels that PromQL sees: time, metric, value, labels.",
    "metrics": "What there is to ask for: metric, type, unit, help, number of series.",
    **{name: kind.meaning for name, kind in KINDS.items()},
}
"""What a row of each table is."""

_BATCH_ROWS = 65_536

Batches = Iterator[pa.RecordBatch]
Read = Callable[[Sequence[str], Condition | None], Batches]


@dataclass
class Reading:
    """How far one statement is: pieces (a day, or a whole table) read of how many, each of `limit` rows at most."""

    limit: int
    pieces: int = 0
    done: int = 0
    failures: list[Exception] = field(default_factory=list)

    def piece(self) -> Budget:
        """The rows that the next piece may have. Only pieces lie in memory; their number is bounded by time alone."""
        return Budget(self.limit)

    @property
    def share(self) -> float:
        """The share of the pieces known so far that is read; 0 before the first."""
        return self.done / self.pieces if self.pieces else 0.0


class LazyTable(ds.Dataset):  # type: ignore[misc]
    """A table that DuckDB scans as it would scan an Arrow dataset: it says which columns and rows it needs."""

    def __init__(self, schema: pa.Schema, read: Read, failures: list[Exception]) -> None:
        self._schema = schema
        self._read = read
        self._failures = failures

    @property
    def schema(self) -> pa.Schema:
        """Schema of the whole table."""
        return self._schema

    def scanner(self, columns: Sequence[str] | None = None, filter: Condition | None = None, **_: Any) -> LazyScan:  # noqa: A002
        """The scan of some columns (None: all) and of the rows that meet `filter`."""
        return LazyScan(self._schema, list(columns or self._schema.names), filter, self._read, self._failures)

    def to_batches(self, columns: Sequence[str] | None = None, filter: Condition | None = None, **_: Any) -> Batches:  # noqa: A002
        """The same scan as batches, read as they are taken; this is how polars asks a dataset."""
        yield from self.scanner(columns, filter).to_reader()


class LazyScan(ds.Scanner):  # type: ignore[misc]
    """One scan of a table; reads while its batches are taken."""

    def __init__(
        self, schema: pa.Schema, columns: list[str], condition: Condition | None, read: Read, failures: list[Exception]
    ) -> None:
        self._projected = pa.schema([schema.field(name) for name in columns])
        self._columns = columns
        self._condition = condition
        self._read = read
        self._failures = failures

    @property
    def projected_schema(self) -> pa.Schema:
        """Schema of the columns that were asked for."""
        return self._projected

    def to_reader(self) -> pa.RecordBatchReader:
        """The batches, read as they are taken."""
        return pa.RecordBatchReader.from_batches(self._projected, self._batches())

    def _batches(self) -> Batches:
        try:
            yield from self._read(self._columns, self._condition)
        except Exception as error:  # Arrow's C stream carries only its text; `statement` raises it again
            self._failures.append(error)
            raise


def tables(view: View, reading: Reading, *, without: Collection[str] = ()) -> dict[str, LazyTable]:
    """Every table that a statement may name, by name; `without` names kinds that are to stay closed."""
    found: dict[str, tuple[pa.Schema, Read]] = {
        "measurements": (MEASUREMENTS, functools.partial(_measurements, view, reading)),
        "metrics": (METRICS, functools.partial(_metrics, view)),
    }
    for name, kind in KINDS.items():
        found[name] = (kind.schema, functools.partial(_rows, view, reading, kind))
    return {
        name: LazyTable(schema, reader, reading.failures)
        for name, (schema, reader) in found.items()
        if name not in without
    }


def _rows(view: View, reading: Reading, kind: Kind, columns: Sequence[str], condition: Condition | None) -> Batches:
    """Rows of a kind, from log and lake, one per key."""
    needed = set(columns) | set(columns_of(condition, kind.schema) if condition is not None else ())
    names = [name for name in kind.schema.names if name in needed]
    # Day by day only where no key spans days; the others are far smaller.
    daily = kind.time in kind.key
    for start_us, end_us in _stretches(view, reading, kind.name, kind.schema, kind.time, condition, daily):
        rows = view.table(kind.name, start_us=start_us, end_us=end_us, columns=names)
        reading.piece().spend(rows.num_rows)
        yield from _meeting(rows, columns, condition)
        reading.done += 1


def _stretches(
    view: View, reading: Reading, kind: str, schema: pa.Schema, time: str, condition: Condition | None, daily: bool
) -> list[tuple[int | None, int | None]]:
    """First and last microsecond (None: no bound) of the pieces to read, one after the other."""
    low, high = -EVER_US, EVER_US
    if time and condition is not None:
        bounds = time_bounds(condition, schema, time)
        if bounds is None:
            return []
        low, high = bounds
    starts, ends = partitions(view, kind) if daily else ([None], [None])
    found = []
    for start, end in zip(starts, ends, strict=True):
        first = max(low, -EVER_US if start is None else start)
        last = min(high, EVER_US if end is None else end)
        if first <= last:
            found.append((None if first == -EVER_US else first, None if last == EVER_US else last))
    reading.pieces += len(found)
    return found


def _meeting(rows: pa.Table, columns: Sequence[str], condition: Condition | None) -> Batches:
    # DuckDB does not test again what it pushed down.
    chosen = rows if condition is None else rows.filter(condition)
    yield from chosen.select(list(columns)).to_batches(max_chunksize=_BATCH_ROWS)


def _metrics(view: View, columns: Sequence[str], condition: Condition | None) -> Batches:
    index = label_index(view)
    counts = Counter(dict(row.labels).get("__name__", "") for row in index.rows)
    rows = [(name, *index.metadata(name), counts[name]) for name in index.names()]
    whole = pa.table([pa.array(list(column)) for column in zip(*rows, strict=True)], schema=METRICS) if rows else None
    yield from _meeting(whole or METRICS.empty_table(), columns, condition)


def _measurements(view: View, reading: Reading, columns: Sequence[str], condition: Condition | None) -> Batches:
    """Float samples with their labels, series by series within a day."""
    index = label_index(view)
    rows = _chosen([row for row in index.rows if row.kind != "histogram"], index, condition)
    if not rows:
        return
    needed = set(columns) | set(columns_of(condition, MEASUREMENTS) if condition is not None else ())
    for start, end in _stretches(view, reading, "samples", MEASUREMENTS, "time", condition, daily=True):
        loaded = read(
            view, rows, -EVER_US if start is None else start, EVER_US if end is None else end, reading.piece()
        ).without_stale()
        yield from _meeting(_with_labels(loaded, index, needed), columns, condition)
        reading.done += 1


def _chosen(rows: list[Row], index: LabelIndex, condition: Condition | None) -> list[Row]:
    """The series whose metric, unit, job and instance the condition does not rule out."""
    if condition is None or not rows:
        return rows
    cases: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        cases.setdefault(_texts(dict(row.labels), index), []).append(row)
    guarantees = [_all_equal(case) for case in cases]
    groups = list(cases.values())
    return [row for number in survivors(condition, MEASUREMENTS, guarantees) for row in groups[number]]


_TEXTS = ("metric", "unit", "job", "instance")


def _texts(labels: dict[str, str], index: LabelIndex) -> tuple[str, ...]:
    """The values of `_TEXTS` of a series."""
    name = labels.get("__name__", "")
    return name, index.metadata(name)[1], labels.get("job", ""), labels.get("instance", "")


def _all_equal(case: tuple[str, ...]) -> Condition:
    tests = [ds.field(name) == value for name, value in zip(_TEXTS, case, strict=True)]
    return functools.reduce(lambda one, other: one & other, tests)


def _with_labels(loaded: Loaded, index: LabelIndex, needed: Collection[str]) -> pa.Table:
    """Samples as rows of `measurements`, with the columns that are needed."""
    series = pa.array(np.repeat(np.arange(len(loaded.labels)), np.diff(loaded.offsets)))
    own = [dict(labels) for labels in loaded.labels]
    data: dict[str, pa.Array] = {}
    for name in MEASUREMENTS.names:
        if name not in needed:
            continue
        type_ = MEASUREMENTS.field(name).type
        if name == "time":
            data[name] = pa.array(loaded.times_us, type_)
        elif name == "value":
            data[name] = pa.array(loaded.values, type_)
        elif name == "labels":
            pairs = [[pair for pair in labels if pair[0] != "__name__"] for labels in loaded.labels]
            data[name] = pa.array(pairs, type_).take(series)
        else:
            at = _TEXTS.index(name)
            data[name] = pa.array([_texts(labels, index)[at] for labels in own], type_).take(series)
    return pa.table(data, schema=pa.schema([MEASUREMENTS.field(name) for name in data]))
