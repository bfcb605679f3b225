"""One look: every check over what came in lately, its result kept as samples and, with the rows, in the state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import sqlalchemy as sa

from workbench.analyze import Outcome, SeriesCheck, TableCheck, judge_series, judge_table
from workbench.config import Query, Settings
from workbench.errors import WorkbenchError
from workbench.query import labelled_samples, labelled_series, parse_selector
from workbench.serve.quality.declarations import quality_files, read_checks
from workbench.serve.running.own_metrics import float_batch
from workbench.store import Follower, Identity, RemoteWriter, View, Writer, state

SOURCE = "workbench"
METRICS = {
    "workbench_quality_ok": "Whether a check of data quality is met: 1 or 0.",
    "workbench_quality_failed": "Rows or series that did not meet a check at the last look.",
    "workbench_quality_checked": "Rows or series that a check looked at.",
}
MAX_TABLE_ROWS = 200_000


def look(view: View, checks: Sequence[SeriesCheck | TableCheck], now_us: int, limits: Query) -> list[Outcome]:
    """What the checks make of the last rows. A check of series that nobody ever sent has no outcome."""
    found: list[Outcome] = []
    for check in checks:
        try:
            found += _look(view, check, now_us, limits)
        except WorkbenchError as error:
            # A check that cannot be made is not met: silence would look like health.
            message = f"could not be looked at: {error}"
            found.append(Outcome(check.source, check.name, "schema", 0, 1, message, (), ""))
    return found


def _look(view: View, check: SeriesCheck | TableCheck, now_us: int, limits: Query) -> list[Outcome]:
    start_us = now_us - check.window_seconds * 1_000_000
    if isinstance(check, TableCheck):
        rows = view.table(check.table, start_us=start_us, end_us=now_us)
        if not rows.num_rows and not view.days(check.table):
            return []
        return list(judge_table(check, rows.slice(max(0, rows.num_rows - MAX_TABLE_ROWS)), now_us))
    matchers = parse_selector(check.metric)
    if not labelled_series(view, matchers)[0]:
        return []
    got = labelled_samples(view, matchers, start_us, now_us, limits=limits)
    return list(judge_series(check, got.labels, got.offsets, got.times_us, got.values, now_us))


def look_and_keep(settings: Settings, engine: sa.Engine, now_us: int) -> list[str]:
    """Look with all checks in force and keep the results, through the running hub; the faults of their files."""
    checks, faults = read_checks(quality_files(settings))
    view = Follower(settings)
    try:
        outcomes = look(view, checks, now_us, settings.query)
    finally:
        view.close()
    keep(engine, outcomes, now_us)
    record(RemoteWriter(settings), outcomes, now_us)
    return faults


def record(writer: Writer | RemoteWriter, outcomes: Sequence[Outcome], now_us: int) -> None:
    """Write the results as samples."""
    if not outcomes:
        return
    new: list[tuple[Identity, str, str]] = []
    values: list[float] = []
    for outcome in outcomes:
        labels = {"job": "workbench", "instance": "keeper"}
        labels |= {"source": outcome.source, "check": outcome.name, "kind": outcome.kind}
        pairs = tuple(sorted(labels.items()))
        for name, value in zip(METRICS, (outcome.ok, outcome.failed, outcome.checked), strict=True):
            new.append((Identity("prometheus", name, "gauge", "", "", (), pairs), METRICS[name], ""))
            values.append(float(value))
    ids = writer.register(new, SOURCE)
    writer.append({"samples": float_batch(ids, now_us, values)}).result()


def keep(engine: sa.Engine, outcomes: Sequence[Outcome], now_us: int) -> None:
    """Put the results in the place of the last ones; `changed_us` is when a check began to be met, or not to be."""
    table = state.quality_results
    with engine.begin() as connection:
        before = {(r.source, r.name, r.kind): r for r in connection.execute(sa.select(table))}
        connection.execute(sa.delete(table))
        rows = []
        for outcome in outcomes:
            last = before.get((outcome.source, outcome.name, outcome.kind))
            changed_us = last.changed_us if last is not None and (last.failed == 0) == outcome.ok else now_us
            rows.append({**asdict(outcome), "rows": [asdict(row) for row in outcome.rows],
                         "evaluated_us": now_us, "changed_us": changed_us})  # fmt: skip
        if rows:
            connection.execute(sa.insert(table), rows)
