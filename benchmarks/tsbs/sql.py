"""The shapes as SQL: `workbench.query.sql` on the lake, beside DuckDB and chDB over the same Parquet files, in process.

The peers are given the files of the lake's newest version and a table of names; ours finds both by itself, looks into
the log too, and gives one row per key. `python -m benchmarks.tsbs.sql --hosts 20` is the small form.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.tsbs import ours
from benchmarks.tsbs.data import CPU, Load
from benchmarks.tsbs.shapes import HOUR_US
from workbench import config
from workbench.query import sql
from workbench.store import Lake, View, open_view

Ask = Callable[[str], pa.Table]
Dialect = dict[str, str]
_ALIKE = 1e-9
_DUCKDB = {"hour": "date_trunc('hour', time)", "minute": "date_trunc('minute', time)", "last": "arg_max", "zone": "+00"}
_OURS = {**_DUCKDB, "table": "measurements", "host": "labels['hostname']", "region": "labels['region']"}
_CHDB = {
    "hour": "toDateTime64(date_trunc('hour', time), 6, 'UTC')",
    "minute": "toDateTime64(date_trunc('minute', time), 6, 'UTC')",
    "last": "argMax",
    "zone": "",
}


def questions(load: Load) -> dict[str, str]:
    """Shape -> statement, with places for what the dialects write differently."""

    def since(hours: float) -> str:
        begin = datetime.fromtimestamp(load.end_us / 1e6 - hours * 3600, UTC)
        return f"time >= '{begin:%Y-%m-%d %H:%M:%S}{{zone}}'"

    cpu = [f"cpu_usage_{field}" for field in CPU]
    eight = ", ".join(f"'host_{n * load.hosts // 8}'" for n in range(8))
    half, day = min(load.hours, 12), min(load.hours, 24)

    def grouped(what: str, by: str, metrics: list[str], hours: float, which: str = "") -> str:
        names = ", ".join(f"'{name}'" for name in metrics)
        chosen = f"metric IN ({names}) AND {since(hours)}{which}"
        columns = ", ".join(f"{part} AS k{number}" for number, part in enumerate(by.split("|")))
        keys = ", ".join(f"k{number}" for number in range(by.count("|") + 1))
        return f"SELECT {columns}, {what} AS v FROM {{table}} WHERE {chosen} GROUP BY {keys}"

    one, some, each = " AND {host} = 'host_1'", f" AND {{host}} IN ({eight})", "metric|{host}|"
    recent = f"metric = '{cpu[0]}' AND {since(5 / 60)}"
    limited = f"SELECT {{minute}} AS k0, max(value) AS v FROM {{table}} WHERE {recent} GROUP BY k0 ORDER BY k0 LIMIT 5"
    return {
        "single-groupby-1-1-1": grouped("max(value)", each + "{minute}", cpu[:1], 1, one),
        "single-groupby-1-1-12": grouped("max(value)", each + "{minute}", cpu[:1], half, one),
        "single-groupby-5-8-1": grouped("max(value)", each + "{minute}", cpu[:5], 1, some),
        "cpu-max-all-8": grouped("max(value)", each + "{hour}", cpu, min(8, half), some),
        "double-groupby-1": grouped("avg(value)", each + "{hour}", cpu[:1], half),
        "double-groupby-all": grouped("avg(value)", each + "{hour}", cpu, half),
        "high-cpu-all": grouped("count(*)", "{host}", cpu[:1], half, " AND value > 90"),
        "lastpoint": grouped("{last}(value, time)", "metric|{host}", cpu, day),
        "groupby-orderby-limit": limited,
        "avg by region, a day": grouped("avg(value)", "{region}|{hour}", cpu[:1], day),
    }


def engines(view: View, settings: config.Settings, peers: Path) -> dict[str, tuple[Ask, Dialect]]:
    """Engine -> how it is asked, and its dialect; chDB where it is installed. `peers` is a folder for them."""
    import duckdb

    (peers / "samples").mkdir(parents=True)
    lake = Lake(settings)
    for number, file in enumerate(lake.newest_files("samples")):  # older versions lie beside them until they are let go
        (peers / "samples" / f"{number}.parquet").hardlink_to(lake.path("samples") / file.path)
    pq.write_table(_names(view), peers / "names.parquet")
    samples, names = f"{peers}/samples/*.parquet", f"{peers}/names.parquet"
    limits = replace(settings.query, max_samples=500_000_000, timeout_seconds=300)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    joined = "(SELECT time, value, metric, host, region FROM {} AS held JOIN {} AS named USING (series)) AS joined"
    plain = {"host": "host", "region": "region"}
    there = joined.format(f"read_parquet('{samples}')", f"read_parquet('{names}')")
    found: dict[str, tuple[Ask, Dialect]] = {
        "workbench": (lambda text: sql(view, text, now_us=time.time_ns() // 1000, limits=limits), _OURS),
        "DuckDB": (lambda text: connection.sql(text).to_arrow_table(), _DUCKDB | plain | {"table": there}),
    }
    try:
        import chdb
    except ImportError:
        return found
    there = joined.format(f"file('{samples}', Parquet)", f"file('{names}', Parquet)")
    return found | {"chDB": (lambda text: chdb.query(text, "ArrowTable"), _CHDB | plain | {"table": there})}


def usual() -> str:
    """The section of the page: 20 hosts, since ours takes 10 s for the heaviest; some five minutes."""
    return run(arguments(["--rounds", "3"]))


def run(options: argparse.Namespace) -> str:
    """Fill a home, ask every engine in turns, compare the rows; the section of the page."""
    end_us = (time.time_ns() // 1000 - 3 * HOUR_US) // (2 * HOUR_US) * 2 * HOUR_US
    load = Load(options.hosts, options.metrics, options.hours, end_us, rough=options.rough)
    folder = Path(tempfile.mkdtemp(prefix="tsbs-sql-"))
    try:
        ours.fill(folder / "home", [load])
        settings = config.load(folder / "home", environ={})
        asked = engines(open_view(settings), settings, folder / "peers")
        rows = [_measured(name, text, asked, options.rounds) for name, text in questions(load).items()]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return section(load, list(asked), rows)


def _names(view: View) -> pa.Table:
    """Of every series its id, metric, host and region: what a peer joins with the samples."""
    members = [(one.id, one.identity.name, dict(one.identity.attributes)) for one in view.registry.since(0)]
    columns = [(id_, name, labels.get("hostname", ""), labels.get("region", "")) for id_, name, labels in members]
    return pa.table(dict(zip(("series", "metric", "host", "region"), zip(*columns, strict=True), strict=True)))


def _measured(name: str, text: str, asked: dict[str, tuple[Ask, Dialect]], rounds: int) -> list[str]:
    """A line of the table: milliseconds of each engine, ratios, rows, and rows that are not the same for all."""
    seconds: dict[str, list[float]] = {engine: [] for engine in asked}
    answers: dict[str, dict[tuple[str, ...], float]] = {}
    for turn in range(rounds + 1):
        for engine, (ask, dialect) in asked.items():
            statement = text.format(**dialect)
            begun = time.perf_counter()
            table = ask(statement)
            if turn:
                seconds[engine].append(time.perf_counter() - begun)
            else:
                answers[engine] = {tuple(map(str, row[:-1])): float(row[-1]) for row in _rows(table)}
    middle = {engine: statistics.median(found) * 1000 for engine, found in seconds.items()}
    print(name, {engine: f"{found:.1f} ms" for engine, found in middle.items()}, flush=True)
    mine, *others = answers.values()
    differs = sum(_differing(mine, other) for other in others)
    ratios = [f"{found / middle['workbench']:.2f}x" for found in list(middle.values())[1:]]
    return [name, *(f"{found:.1f}" for found in middle.values()), *ratios, str(len(mine)), str(differs)]


def _rows(table: pa.Table) -> list[tuple[object, ...]]:
    columns = [
        column.cast(pa.timestamp("us")) if pa.types.is_timestamp(column.type) else column for column in table.columns
    ]
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def _differing(mine: dict[tuple[str, ...], float], other: dict[tuple[str, ...], float]) -> int:
    apart = sum(abs(mine[key] - other[key]) > _ALIKE * max(abs(other[key]), 1) for key in mine.keys() & other.keys())
    return apart + len(mine.keys() ^ other.keys())


def section(load: Load, names: Sequence[str], rows: list[list[str]]) -> str:
    """The table, in Markdown."""
    head = ["question", *names, *(f"{name} / ours" for name in names[1:]), "rows", "differ"]
    size = f"{load.hosts} hosts x {load.metrics} metrics, {load.step_seconds} s, {load.hours} h"
    lines = [
        "## The shapes as SQL",
        "",
        f"{size}, simulated. In process, over the same Parquet files, in turns; medians, ms of wall, answers as Arrow.",
        "The peers are told the files and a table of names; ours looks into the log too and gives one row per key.",
        "`differ`: rows that are not the same for all.",
        "",
        "| " + " | ".join(head) + " |",
        "|---" * len(head) + "|",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    return "\n".join(lines)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Sizes of the run; by default the small form, of some minutes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tsbs.sql", description=__doc__)
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--metrics", type=int, default=20)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rough", action="store_true", help="with jitter, gaps, resets and churn")
    return parser.parse_args(given)


if __name__ == "__main__":
    print(run(arguments()))
