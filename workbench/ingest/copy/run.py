"""`workbench copy`: samples between time-series stores, tables between warehouses, the lake being both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

from workbench.config import Settings
from workbench.errors import InputError
from workbench.ingest.copy.ends import (
    LakeSamples,
    LakeTarget,
    SampleSource,
    StoreTarget,
    rows_into_lake,
    rows_into_warehouse,
)  # fmt: skip
from workbench.ingest.copy.plan import Piece, Plan, Stretch, load_plan, plan_id, save_plan
from workbench.query import parse_selector
from workbench.schema import KINDS
from workbench.store import (
    LAKE,
    WAREHOUSES,
    Follower,
    LabelMatcher,
    RemoteWriter,
    Writer,
    attach,
    open_timeseries,
    open_warehouse,
    shown_url,
)  # fmt: skip

Progress = Callable[[int, int, str], None]
"""Called with pieces done, pieces in all, and what is under way."""

_DAY_US = 86_400_000_000
_WINDOW_US = 6 * 3_600_000_000
_GROUP_SERIES = 500
# A Prometheus server refuses what is an hour older than the newest that it has: all series go on together.
_PROMETHEUS_WINDOW_US = 1_800_000_000
_PROMETHEUS_GROUP_SERIES = 2000
_TABLES = tuple(kind for kind in KINDS if kind not in ("series", "samples"))


@dataclass(frozen=True)
class CopyResult:
    """What a copy did: rows written now, pieces in all and those that an earlier run had done, what was left out."""

    what: str
    rows: int
    pieces: int
    resumed: int
    histograms: int

    def __str__(self) -> str:
        again = f", {self.resumed} of {self.pieces} pieces were there already" if self.resumed else ""
        left = f", {self.histograms} native histograms left out" if self.histograms else ""
        return f"copied {self.rows} {self.what}{again}{left}"


def run_copy(
    source: str,
    target: str,
    *,
    settings: Settings,
    match: str = "",
    tables: Sequence[str] = (),
    start_us: int | None = None,
    end_us: int | None = None,
    progress: Progress | None = None,
) -> CopyResult:
    """Copy from one URL to another; `lake` is the home's own, written through the hub where one runs.

    The same call again goes on where it was cut short; with no end given it goes on from where it ended to now.
    Nothing is written twice. Raises InputError, ConfigError, StoreError, QueryLimit.
    """
    if source == target:
        raise InputError("a copy needs two places", where="--to", hint="E.g. --from lake --to prometheus+http://…")
    warehouse = any(urlsplit(end).scheme in WAREHOUSES for end in (source, target))
    _check(source, target, match, tables, warehouse)
    folder = settings.state_dir / "copies"
    told = [shown_url(source), shown_url(target), match, sorted(tables), start_us, end_us]
    plan = load_plan(folder, plan_id(told))
    with ExitStack() as stack:
        work = (
            _Tables(settings, source, target, tables, stack)
            if warehouse
            else _Samples(settings, source, target, match, stack)
        )
        if plan.end_us is None or (end_us is None and plan.done == len(plan)):
            stretch = work.stretch(plan, start_us, end_us)
            if stretch is not None:
                plan.stretches.append(stretch)
                save_plan(folder, plan)
        return _run(work, plan, lambda: save_plan(folder, plan), progress)


def _check(source: str, target: str, match: str, tables: Sequence[str], warehouse: bool) -> None:
    if tables and not warehouse:
        raise InputError("tables are copied from or to a warehouse", where="--table")
    if match and warehouse:
        raise InputError("matchers choose samples, which a warehouse has as a table", where="--match")
    for kind in tables:
        if kind not in KINDS:
            raise InputError(f"no table {kind!r}", where="--table", hint=f"There are: {', '.join(KINDS)}.")
        if kind in ("series", "samples") and target == LAKE:
            hint = "The ids of series are those of one lake. Copy samples from a time-series store."
            raise InputError(f"{kind} cannot be copied into a lake as a table", where="--table", hint=hint)


def _run(work: _Tables | _Samples, plan: Plan, save: Callable[[], None], progress: Progress | None) -> CopyResult:
    rows, resumed = 0, plan.done
    for piece in plan.left():
        # Only the first piece can have been begun by an earlier run.
        rows += work.take(plan, piece, resumed=plan.done == resumed)
        plan.done += 1
        save()
        if progress:
            progress(plan.done, len(plan), piece.group[0])
    work.finish()
    return CopyResult(work.what, rows, len(plan), resumed, work.histograms)


class _Samples:
    """Samples by labels, from anything that is a `SampleSource`."""

    def __init__(self, settings: Settings, source: str, target: str, match: str, stack: ExitStack) -> None:
        self._matchers = parse_selector(match) if match else []
        self._short = urlsplit(target).scheme.startswith("prometheus")
        if source == LAKE:
            self._source: SampleSource = LakeSamples(Follower(settings), settings.query)
        else:
            self._source = open_timeseries(source)
        self._writer = _attached(settings, stack) if target == LAKE else None
        self._target: LakeTarget | StoreTarget
        if self._writer is not None:
            name = f"copy:{shown_url(source)}"
            self._target = LakeTarget(self._writer, settings.ingest, name, self._source.metadata())
        else:
            self._target = StoreTarget(open_timeseries(target))
        self.what = "samples"

    @property
    def histograms(self) -> int:
        """Series that hold native histograms."""
        return getattr(self._source, "histograms", 0)

    def stretch(self, plan: Plan, start_us: int | None, end_us: int | None) -> Stretch | None:
        """What there is to copy in the time that is asked for, and not in the plan yet."""
        first_us, last_us = self._source.span_us()
        if last_us == 0:
            return None
        if plan.end_us is not None:
            first_us = plan.end_us + 1
        elif start_us is not None:
            first_us = max(first_us, start_us)
        last_us = last_us if end_us is None else min(last_us, end_us)
        if first_us > last_us:
            return None
        groups = list(self._groups(self._source.series(self._matchers, first_us, last_us)))
        window_us = _PROMETHEUS_WINDOW_US if self._short else _WINDOW_US
        return Stretch(first_us, last_us, window_us, groups) if groups else None

    def _groups(self, series: Sequence[tuple[tuple[str, str], ...]]) -> Iterator[list[str]]:
        """Names of metrics that have not too many series together."""
        counts: dict[str, int] = {}
        for labels in series:
            name = dict(labels).get("__name__", "")
            counts[name] = counts.get(name, 0) + 1
        limit = _PROMETHEUS_GROUP_SERIES if self._short else _GROUP_SERIES
        group: list[str] = []
        held = 0
        for name, count in sorted(counts.items()):
            if group and held + count > limit:
                yield group
                group, held = [], 0
            group.append(name)
            held += count
        if group:
            yield group

    def take(self, plan: Plan, piece: Piece, *, resumed: bool) -> int:
        """Copy one piece."""
        names = "|".join(map(_literal, piece.group))
        matchers = [*self._matchers, LabelMatcher("__name__", "=~", names)]
        return self._target.write(plan, self._source.read(matchers, piece.start_us, piece.end_us), resumed=resumed)

    def finish(self) -> None:
        """Seal what went into the lake."""
        if self._writer is not None:
            self._writer.seal()


class _Tables:
    """Rows of tables, between the lake and a warehouse or from one warehouse to another."""

    histograms = 0

    def __init__(self, settings: Settings, source: str, target: str, tables: Sequence[str], stack: ExitStack) -> None:
        self._kinds = list(tables) or list(_TABLES)
        self._source = Follower(settings) if source == LAKE else open_warehouse(source)
        self._writer = _attached(settings, stack) if target == LAKE else None
        self._target = None if target == LAKE else open_warehouse(target)
        self.what = f"rows of {', '.join(self._kinds) if tables else 'all tables'}"

    def stretch(self, plan: Plan, start_us: int | None, end_us: int | None) -> Stretch | None:
        """The days that the source has rows of, up to now."""
        days = sorted({day for kind in self._kinds if KINDS[kind].time for day in self._source.days(kind)})
        now_us = time.time_ns() // 1000
        first_us = min(days[0] * _DAY_US, now_us) if days else now_us - _DAY_US
        if plan.end_us is not None:
            first_us = plan.end_us + 1
        elif start_us is not None:
            first_us = start_us
        last_us = now_us if end_us is None else end_us
        if first_us > last_us:
            return None
        return Stretch(first_us, last_us, _DAY_US, [[kind] for kind in self._kinds])

    def take(self, plan: Plan, piece: Piece, *, resumed: bool) -> int:
        """Copy one piece: a table's rows of a day, or all of one that has no time."""
        del resumed
        (kind,) = piece.group
        if not KINDS[kind].time and not piece.first:
            return 0
        columns = [*KINDS[kind].schema.names, "segment", "row"]
        rows = self._source.table(kind, start_us=piece.start_us, end_us=piece.end_us, columns=columns)
        if self._writer is not None:
            return rows_into_lake(self._writer, plan, kind, rows)
        assert self._target is not None
        return rows_into_warehouse(self._target, kind, rows)

    def finish(self) -> None:
        """Seal what went into the lake."""
        if self._writer is not None:
            self._writer.seal()


def _attached(settings: Settings, stack: ExitStack) -> Writer | RemoteWriter:
    """The lake's writer, until the copy ends."""
    writer = attach(settings)
    stack.callback(writer.close)
    return writer


def _literal(text: str) -> str:
    return "".join(f"\\{c}" if c in r"\.+*?()|[]{}^$" else c for c in text)
