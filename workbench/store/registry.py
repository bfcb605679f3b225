"""What each series id means: identities in, ids out, the same in every process."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from workbench.schema import KINDS

ANONYMOUS = "anonymous"


@dataclass(frozen=True)
class Identity:
    """What makes a series one. Pairs are sorted by key.

    `part` and `bound` tell the series of a classic histogram or summary apart: bucket (upper bound), count, sum,
    quantile. An exponential histogram is one series.
    """

    convention: str
    name: str
    type: str
    unit: str
    temporality: str
    resource: tuple[tuple[str, str], ...]
    attributes: tuple[tuple[str, str], ...]
    part: str = ""
    bound: float | None = None


@dataclass(frozen=True)
class Series:
    """One series: its id, its identity, and who sent it first."""

    id: int
    identity: Identity
    description: str
    scope: str
    source: str
    first_seen_us: int


class SeriesRegistry:
    """All series that this process knows; thread-safe. Fed by the writer's registrations, or by following the log."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._by_id: dict[int, Series] = {}
        self._ids: dict[Identity, int] = {}
        self._history: list[int] = []
        self._of_name: Counter[str] = Counter()
        self._of_source: Counter[str] = Counter()
        self._highest = 0

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def generation(self) -> int:
        """Number of registrations seen; grows."""
        return len(self._history)

    @property
    def highest_id(self) -> int:
        """Highest id given out, 0 if none was."""
        return self._highest

    @property
    def anonymous(self) -> int:
        """How many series nobody but anonymous callers sent."""
        return self._of_source[ANONYMOUS]

    def of_name(self, name: str) -> int:
        """How many series have that metric name."""
        return self._of_name[name]

    def of_source(self, source: str) -> int:
        """How many series that source sent first."""
        return self._of_source[source]

    def get(self, id: int) -> Series:  # noqa: A002
        """The series of an id. Raises KeyError."""
        return self._by_id[id]

    def find(self, identity: Identity) -> Series | None:
        """The series of an identity, None if it is not registered."""
        found = self._ids.get(identity)
        return None if found is None else self._by_id[found]

    def since(self, generation: int) -> list[Series]:
        """What was registered after that generation, in order; a series taken over by a new source appears again."""
        with self._lock:
            return [self._by_id[id] for id in self._history[generation:]]

    def add(self, series: Iterable[Series]) -> None:
        """Take series as they were registered; what is known already and the same counts for nothing."""
        with self._lock:
            for one in series:
                before = self._by_id.get(one.id)
                if before == one:
                    continue
                if before is None:
                    self._of_name[one.identity.name] += 1
                else:
                    self._of_source[before.source] -= 1
                self._of_source[one.source] += 1
                self._by_id[one.id] = one
                self._ids[one.identity] = one.id
                self._history.append(one.id)
                self._highest = max(self._highest, one.id)


def plan_registration(
    registry: SeriesRegistry, new: Sequence[tuple[Identity, str, str]], source: str, now_us: int
) -> tuple[list[int], list[Series]]:
    """Ids for (identity, description, scope) triples, and the series whose rows must be logged for them.

    Pure: the caller adds and logs them. Two equal identities get one id; an anonymous series that a known source sends
    becomes that source's.
    """
    ids: list[int] = []
    fresh: dict[Identity, Series] = {}
    next_id = registry.highest_id + 1
    for identity, description, scope in new:
        known = fresh.get(identity) or registry.find(identity)
        if known is None:
            known = fresh[identity] = Series(next_id, identity, description, scope, source, now_us)
            next_id += 1
        elif known.source == ANONYMOUS != source:
            known = fresh[identity] = replace(known, source=source)
        ids.append(known.id)
    return ids, list(fresh.values())


def series_batch(series: Sequence[Series]) -> pa.RecordBatch:
    """Rows of the kind `series`."""
    identities = [one.identity for one in series]
    columns = {
        "series": [one.id for one in series],
        "convention": [i.convention for i in identities],
        "name": [i.name for i in identities],
        "type": [i.type for i in identities],
        "unit": [i.unit for i in identities],
        "temporality": [i.temporality for i in identities],
        "resource": [i.resource for i in identities],
        "attributes": [i.attributes for i in identities],
        "part": [i.part for i in identities],
        "bound": [i.bound for i in identities],
        "description": [one.description for one in series],
        "scope": [one.scope for one in series],
        "source": [one.source for one in series],
        "first_seen": [one.first_seen_us for one in series],
    }
    schema = KINDS["series"].schema
    return pa.RecordBatch.from_arrays([pa.array(columns[f.name], f.type) for f in schema], schema=schema)


def series_rows(rows: pa.RecordBatch | pa.Table) -> list[Series]:
    """The series of rows of the kind `series`, in their order."""
    schema = KINDS["series"].schema
    missing = [
        pa.nulls(rows.num_rows, f.type) if f.name not in rows.schema.names else rows.column(f.name) for f in schema
    ]
    columns = [
        column.cast(pa.int64()) if f.name == "first_seen" else column for f, column in zip(schema, missing, strict=True)
    ]
    found = []
    for row in zip(*(column.to_pylist() for column in columns), strict=True):
        id_, convention, name, type_, unit, temporality, resource, attributes, part, bound, *rest = row
        description, scope, source, first_seen_us = rest
        identity = Identity(
            convention or "",
            name or "",
            type_ or "",
            unit or "",
            temporality or "",
            _pairs(resource),
            _pairs(attributes),
            part or "",
            bound,
        )
        found.append(Series(id_, identity, description or "", scope or "", source or "", first_seen_us or 0))
    return found


def _pairs(items: list[tuple[str, str]] | None) -> tuple[tuple[str, str], ...]:
    return tuple((key, value or "") for key, value in items or ())
