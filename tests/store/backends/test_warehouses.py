"""Every warehouse passes the same tests: rows as they were written, SQL as on the lake, Ibis as on DuckDB."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest
from store.backends import servers

from workbench import config
from workbench.errors import ConfigError, NotEvaluated
from workbench.query import Tables, Workbench, limited, parse_matchers, sql
from workbench.schema import KINDS
from workbench.store import Warehouse, open_view, open_warehouse, open_writer

DAY_US = 86_400_000_000
NOW_US = time.time_ns() // 1000
NOON_US = NOW_US // DAY_US * DAY_US + DAY_US // 2
_ = ibis._
Benches = tuple[Workbench, Workbench]


@contextmanager
def chdb(folder: Path) -> Iterator[str]:
    yield f"chdb://{folder / 'clickhouse'}"


WAREHOUSES: dict[str, Callable] = {"chdb": chdb, "clickhouse": servers.clickhouse, "bigquery": servers.bigquery}


def platform() -> dict[str, pa.Table]:
    """Rows of several kinds over three days, with nulls, maps, a native histogram and an exemplar."""
    usage = [
        {
            "time": NOON_US - (n % 3) * DAY_US + n * 1_000_001,
            "service_name": f"component-{n % 4}",
            "role": ("engineer", "checker", None)[n % 3],
            "provider": "p",
            "request_model": f"model {n % 2}",
            "input_tokens": n * 10 if n % 5 else None,
            "output_tokens": n,
            "latency_seconds": n / 8,
            "cost_usd": n / 1024,
            "domain": ("science", "arts")[n % 2],
            "attributes": [("k", f"v{n % 3}"), ("text", 'a "b"\n\\ü')],
            "hash": f"h{n}",
        }
        for n in range(40)
    ]
    events = [
        {
            "source": "/s",
            "id": f"e{n}",
            "type": "t",
            "time": NOON_US - n * DAY_US,
            "data": f'{{"n": {n}}}',
            "extensions": [],
        }
        for n in range(3)
    ]
    histogram = {
        "scale": 3, "count": 7, "sum": 1.5, "zero_threshold": 0.0, "zero_count": 1, "positive_offset": -2,
        "positive_counts": [1, 2, 3], "negative_offset": 0, "negative_counts": [],
    }  # fmt: skip
    exemplar = {"time": NOON_US, "value": 2.5, "trace_id": "ab", "span_id": "cd", "attributes": [("x", "y")]}
    samples = [
        {"series": 1, "time": NOON_US, "type": 0, "value": math.inf, "stale": False, "exemplar": exemplar},
        {"series": 1, "time": NOON_US + 1, "type": 0, "value": -0.5, "stale": False},
        {"series": 2, "time": NOON_US, "type": 1, "histogram": histogram},
    ]
    rows = {"usage": usage, "events": events, "samples": samples}
    return {kind: placed(kind, pa.Table.from_pylist(given, schema=KINDS[kind].schema)) for kind, given in rows.items()}


def placed(kind: str, rows: pa.Table, segment: int = 1) -> pa.Table:
    place = {
        "segment": pa.array([segment] * rows.num_rows, pa.int64()),
        "row": pa.array(range(rows.num_rows), pa.int64()),
    }
    for name, column in place.items():
        rows = rows.append_column(pa.field(name, pa.int64(), False), column)
    return rows


def ordered(kind: str, rows: pa.Table) -> list[dict[str, Any]]:
    return rows.sort_by([(name, "ascending") for name in KINDS[kind].key]).to_pylist()


@pytest.fixture(scope="module", params=list(WAREHOUSES))
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with WAREHOUSES[request.param](tmp_path_factory.mktemp(request.param)) as where:
        yield where


@pytest.fixture(scope="module")
def warehouse(url: str) -> Warehouse:
    """The warehouse, holding `platform()`."""
    made = open_warehouse(url)
    for kind, rows in platform().items():
        made.write(kind, rows)
    return made


@pytest.fixture(scope="module")
def workbenches(
    url: str, warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workbench, Workbench]:
    """The same rows in the lake, and in the warehouse by one line of configuration."""
    home = tmp_path_factory.mktemp("lake")
    settings = config.load(home, environ={})
    with open_writer(settings) as writer:
        for kind in ("usage", "events"):
            batch = platform()[kind].select(KINDS[kind].schema.names).combine_chunks().to_batches()[0]
            writer.append({kind: batch}).result()
    (home / "workbench.toml").write_text(f'[store]\nwarehouse = "{url}"\n')
    other = config.load(home, environ={})
    return Workbench(settings, open_view(settings), None), Workbench(other, open_view(other), None)


@pytest.mark.parametrize("kind", ["usage", "events", "samples"])
def test_rows_are_read_as_they_were_written(warehouse: Warehouse, kind: str):
    names = [*KINDS[kind].schema.names, "segment", "row"]
    found = warehouse.table(kind, columns=names)
    assert found.schema.equals(platform()[kind].schema)
    assert ordered(kind, found) == ordered(kind, platform()[kind])


def test_columns_and_times_are_chosen(warehouse: Warehouse):
    first, last = NOON_US - DAY_US, NOON_US - DAY_US + 10_000_000
    found = warehouse.table("usage", start_us=first, end_us=last, columns=["hash", "time"])
    times = platform()["usage"].column("time").cast(pa.int64()).to_pylist()
    expected = [f"h{n}" for n, at in enumerate(times) if first <= at <= last]
    assert found.column_names == ["hash", "time"]
    assert sorted(found.column("hash").to_pylist()) == sorted(expected)
    assert warehouse.days("usage") == [NOON_US // DAY_US - 2, NOON_US // DAY_US - 1, NOON_US // DAY_US]
    assert warehouse.days("series") == []
    assert warehouse.table("audit").num_rows == 0


def test_of_rows_with_one_key_the_highest_place_stands(warehouse: Warehouse):
    new = {"source": "/twice", "id": "x", "type": "t", "time": NOON_US - 9 * DAY_US, "subject": "new"}
    old = {**new, "subject": "old"}
    for segment, row in ((5, new), (4, old), (5, new)):
        warehouse.write("events", placed("events", pa.Table.from_pylist([row], schema=KINDS["events"].schema), segment))
    found = [row for row in warehouse.table("events").to_pylist() if row["source"] == "/twice"]
    assert [row["subject"] for row in found] == ["new"]


def test_sql_and_tables_give_the_same_as_on_the_lake(workbenches: Benches):
    text = """
        SELECT date_trunc('day', time) AS day, role, count(*) AS n, sum(cost_usd) AS cost, attributes['k'] AS k
        FROM usage WHERE time > now() - INTERVAL 36 HOUR GROUP BY ALL ORDER BY ALL"""
    lake, remote = (sql(bench.view, text, now_us=NOON_US + DAY_US // 2) for bench in workbenches)
    assert lake.num_rows == 2
    assert remote.equals(lake)
    one, other = (ordered("usage", bench.table("usage", columns=["hash", "time"])) for bench in workbenches)
    assert one == other


def test_a_rows_policy_holds_over_a_warehouse(workbenches: Benches):
    for bench in workbenches:
        view = limited(bench.view, parse_matchers('{domain="arts"}'))
        assert set(view.table("usage").column("domain").to_pylist()) == {"arts"}
        tables = Tables(view, lambda: NOW_US)
        assert tables.execute(tables.usage.domain.nunique()) == 1


EXPRESSIONS: dict[str, Callable[[Tables], Any]] = {
    "count": lambda t: t.usage.count(),
    "sum of a column": lambda t: t.usage.output_tokens.sum(),
    "filter and order": lambda t: t.usage.filter(_.latency_seconds > 2).order_by(_.hash).select("hash", "role", "time"),
    "nulls": lambda t: t.usage.group_by("role").agg(n=_.count(), given=_.input_tokens.count()).order_by(_.n, _.role),
    "per day": lambda t: t.usage.group_by(_.time.truncate("D").name("day")).agg(cost=_.cost_usd.sum()).order_by("day"),
    "mutate": lambda t: t.usage.mutate(total=_.input_tokens.fill_null(0) + _.output_tokens).total.max(),
    "case": lambda t: t.usage.group_by(slow=ibis.ifelse(_.latency_seconds > 3, "slow", "fast"))
                       .agg(n=_.count()).order_by("slow"),
    "join": lambda t: t.usage.join(t.usage.group_by("domain").agg(mean=_.cost_usd.mean()), "domain")
                       .filter(_.cost_usd > _.mean).order_by("hash").select("hash", "mean"),
    "window": lambda t: t.usage.group_by("service_name").mutate(rank=ibis.row_number().over(
                            ibis.window(group_by="service_name", order_by=ibis.desc("latency_seconds"))))
                       .filter(_["rank"] == 0).order_by("service_name").select("service_name", "hash"),
    "text": lambda t: t.usage.filter(_.request_model.contains("1")).select(up=_.service_name.upper())
                       .distinct().order_by("up"),
    "between": lambda t: t.events.filter(_.time.between(at(NOON_US - DAY_US), at(NOON_US))).order_by("id").select("id"),
    "distinct": lambda t: t.usage.select("domain", "request_model").distinct().order_by("domain", "request_model"),
    "limit": lambda t: t.usage.order_by(ibis.desc("cost_usd")).limit(3).select("hash", "cost_usd"),
    "union": lambda t: t.usage.select(key="hash").union(t.events.select(key="id")).order_by("key").limit(5),
    "statistics": lambda t: t.usage.agg(low=_.cost_usd.min(), high=_.cost_usd.max(), spread=_.cost_usd.std()),
}  # fmt: skip


def at(time_us: int) -> Any:
    return ibis.timestamp(f"{pa.scalar(time_us, pa.timestamp('us')).as_py().isoformat()}+00:00")


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_ibis_expression_gives_the_same_on_duckdb_and_on_the_warehouse(workbenches: Benches, name: str):
    lake, remote = (bench.tables().to_pyarrow(EXPRESSIONS[name](bench.tables())).to_pylist() for bench in workbenches)
    assert lake
    assert [list(map(rounded, row.values())) for row in remote] == [list(map(rounded, row.values())) for row in lake]


def rounded(value: Any) -> Any:
    return float(f"{value:.12g}") if isinstance(value, float) else value


def test_what_the_other_dialect_cannot_say_is_refused_by_name(workbenches: Benches):
    tables = workbenches[1].tables()
    assert "usage" in tables
    assert "usage" in dir(tables)
    with pytest.raises(AttributeError, match="there are"):
        _ = tables.nothing
    with pytest.raises(NotEvaluated, match="cannot say"):
        tables.compile(tables.usage.rowid())


def test_an_unknown_warehouse_is_refused_with_those_that_there_are():
    with pytest.raises(ConfigError, match="chdb"):
        open_warehouse("oracle://host")
