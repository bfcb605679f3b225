"""polars beside pandas: the same rows, lazily where tables are large, and words where it is not installed."""

from __future__ import annotations

import importlib.util
import time

import numpy as np
import pytest

from workbench.errors import ConfigError, InputError
from workbench.ingest.points import Rows
from workbench.query import open_workbench
from workbench.query.relational.tables import LazyTable
from workbench.store import Identity, open_writer

pl = pytest.importorskip("polars")
HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def wb(tmp_path_factory):
    from workbench import config

    settings = config.load(tmp_path_factory.mktemp("polars") / "home", environ={})
    now_us = time.time_ns() // 1000
    with open_writer(settings) as writer:
        labels = [(("instance", f"h{n}"), ("time", "label")) for n in range(3)]
        ids = writer.register(
            [(Identity("prometheus", "load", "gauge", "", "", (), one), "", "") for one in labels], "x"
        )
        times = now_us - np.arange(60) * 60_000_000
        n = len(times) * len(ids)
        values = np.arange(n, dtype=np.float64)
        rows = Rows(
            np.repeat(np.array(ids), len(times)), np.tile(times, len(ids)), values.view(np.uint64),
            np.zeros(n, np.int64), np.zeros(n, bool),
        )  # fmt: skip
        writer.append({"samples": rows.batch()}).result()
        writer.seal()
    return open_workbench(settings.home)


def test_a_selection_has_the_rows_of_pandas(wb):
    chosen = wb.select("load", start="now-2h")
    frame, other = chosen.to_polars(), chosen.to_pandas()
    assert frame.schema["time"] == pl.Datetime("us", "UTC")
    assert frame.columns == list(other.columns) == ["__name__", "instance", "label_time", "time", "value"]
    assert frame.rows() == [tuple(row) for row in other.itertuples(index=False)]
    assert wb.select("nothing").to_polars().columns == ["time", "value"]


def test_a_result_has_the_rows_of_pandas(wb):
    result = wb.result("sum by (instance) (load)", start="now-1h", end="now", step="10m")
    frame = result.to_polars()
    assert frame.rows() == [tuple(row) for row in result.to_pandas().itertuples(index=False)]
    assert frame["value"].dtype == pl.Float64


def test_tables_are_read_lazily_and_as_little_as_is_asked_for(wb, monkeypatch):
    asked = []
    scanner = LazyTable.scanner

    def watched(self, columns=None, condition=None, **more):
        asked.append((columns, condition))
        return scanner(self, columns, condition, **more)

    monkeypatch.setattr(LazyTable, "scanner", watched)
    lazy = wb.scan("measurements").filter(pl.col("instance") == "h1").select("time", "value")
    assert asked == []
    found = lazy.collect()
    assert sorted(found["value"].to_list()) == [float(n) for n in range(60, 120)]
    ((columns, condition),) = asked
    assert set(columns) <= {"time", "value", "instance"}
    assert "h1" in str(condition)


def test_every_table_of_sql_can_be_scanned(wb):
    for name in wb.sql("SHOW TABLES")["name"]:
        assert wb.scan(name).head(2).collect().height <= 2, name
    mean = wb.scan("measurements").group_by("instance").agg(pl.col("value").mean()).sort("instance").collect()
    assert mean["value"].to_list() == [29.5, 89.5, 149.5]
    with pl.SQLContext(m=wb.scan("measurements")) as context:
        assert context.execute("SELECT count(*) FROM m WHERE value < 5").collect().item() == 5


def test_an_unknown_table_names_those_there_are(wb):
    with pytest.raises(InputError, match="measurements"):
        wb.scan("measurement")


def test_without_polars_the_error_says_what_to_install(wb, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for call in (wb.select("load").to_polars, wb.result("load").to_polars, lambda: wb.scan("metrics")):
        with pytest.raises(ConfigError, match=r"workbench\[lab\]"):
            call()
