"""Selections, results, tables and the catalog over a real store, with its writer running and stopped."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable

import intake
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from conftest import ROOT

import workbench
from workbench import config
from workbench.errors import InputError, QueryLimit, QuerySyntaxError, VersionGone
from workbench.query import Matcher, instant, open_workbench, select
from workbench.query.catalog import as_dict, as_yaml
from workbench.query.times import duration_us, moment_us
from workbench.schema import KINDS
from workbench.store import Identity, open_writer

SECOND = 1_000_000
DAY = 86_400 * SECOND


def rows(kind: str, **columns: object) -> dict[str, pa.RecordBatch]:
    schema = KINDS[kind].schema
    count = len(next(iter(columns.values())))
    arrays = [pa.array(columns.get(field.name, [None] * count), field.type) for field in schema]
    return {kind: pa.RecordBatch.from_arrays(arrays, schema=schema)}


def samples(series: int, times_us: list[int], values: Iterable[float]) -> dict[str, pa.RecordBatch]:
    count = len(times_us)
    return rows("samples", series=[series] * count, time=times_us, type=[0] * count, value=list(map(float, values)))


@pytest.fixture
def home(settings):
    """A home with a sealed part and a part that only the log has; the writer is stopped."""
    now_us = time.time_ns() // 1000
    with_writer = open_writer(settings)
    labels = [("cpu.mode", mode) for mode in ("user", "system")]
    resource = (("os.type", "linux"), ("service.name", "host"))
    identities = [Identity("otel", "system.cpu.utilization", "gauge", "1", "", resource, (pair,)) for pair in labels]
    ids = with_writer.register([(identity, "use", "") for identity in identities], "test")
    times = [now_us - 60 * SECOND + step * SECOND for step in range(50)]
    for number in ids:
        with_writer.append(samples(number, times, range(50)))
    two = {"source": ["s", "s"], "id": ["1", "2"], "type": ["a.b", "c.d"], "extensions": [[("k", "v")], None]}
    with_writer.append(rows("events", **two, time=[now_us, now_us - 9])).result()
    version = with_writer.seal()
    with_writer.append(samples(ids[0], [now_us - 5 * SECOND], [1000])).result()
    with_writer.append(rows("events", source=["s"], id=["1"], type=["a.c"], time=[now_us])).result()
    with_writer.close()
    return settings, version, now_us


def test_query_answers_with_the_workbench_stopped(home):
    settings, version, _ = home
    wb = workbench.open(settings.home)
    found = wb.query("system_cpu_utilization_ratio")
    assert found.dims == ("series", "time")
    assert dict(zip(found.cpu_mode.values, found.values[:, 0], strict=True)) == {"user": 1000, "system": 49}
    assert wb.version == version == found.attrs["lake_version"]


def test_a_time_names_the_version_that_was_the_newest_then(home):
    settings, version, _ = home
    wb = open_workbench(settings.home)
    sealed_us = open_workbench(settings.home, version=version).view.version_time_us
    assert wb.at(as_of=(sealed_us + 1) / 1e6).version == version
    assert open_workbench(settings.home, as_of="now").pinned
    with pytest.raises(VersionGone, match="not there"):
        wb.at(as_of="1990-01-01")
    with pytest.raises(InputError):
        wb.at(as_of="now", version=version)


def test_a_named_version_gives_the_same_without_the_log(home):
    settings, version, now_us = home
    pinned = open_workbench(settings.home, version=version)
    at = now_us / 1e6
    assert sorted(pinned.query("system_cpu_utilization_ratio", time=at).values[:, 0]) == [49, 49]
    assert sorted(pinned.query("system_cpu_utilization_ratio").values[:, 0]) == [49, 49]
    assert pinned.version == version
    assert len(pinned.catalog["samples"].read()) == 100


def test_a_range_with_and_without_a_step(home):
    wb = workbench.open(home[0].home)
    assert wb.query("count(system_cpu_utilization_ratio)", start="now-1m", step=10).sizes["time"] == 7
    assert wb.query("vector(1)", start="-1h", end="now").sizes["time"] == 241
    day = wb.query("vector(1)", start="2026-11-23", end="2026-11-24T00:00:00Z")
    assert pd.Timestamp(day.time.values[0]) == pd.Timestamp("2026-11-23")


def test_results_take_other_forms(home):
    result = workbench.open(home[0].home).result("system_cpu_utilization_ratio", start="now-1m", step="30s")
    frame = result.to_pandas()
    assert list(frame.columns) == ["__name__", "cpu_mode", "job", "time", "value"]
    assert str(frame.time.dt.tz) == "UTC"
    assert len(frame) == result.present.sum() == result.to_table().num_rows
    assert {"metric", "values"} == result.to_prometheus()["result"][0].keys()


def test_select_reads_lazily_and_alike_in_all_forms(home):
    settings, _, _ = home
    wb = workbench.open(settings.home)
    chosen = wb.select('system_cpu_utilization_ratio{cpu_mode="user"}')
    assert len(chosen) == 1
    assert chosen.labels[0]["cpu_mode"] == "user"
    array, frame, lazy = chosen.to_xarray(), chosen.to_pandas(), chosen.to_dask()
    assert array.dims == ("series", "time")
    assert array.shape == (1, 51)
    assert frame.value.tolist() == array.values[0].tolist() == lazy.compute().value.tolist()
    assert lazy.compute().cpu_mode.tolist() == frame.cpu_mode.tolist()
    assert list(lazy.columns) == list(frame.columns)


def test_select_leaves_nan_where_a_series_has_no_sample(home):
    array = workbench.open(home[0].home).select("system_cpu_utilization_ratio").to_xarray()
    assert array.shape == (2, 51)
    assert np.isnan(array.values).sum() == 1


def test_a_selection_over_days_has_a_partition_per_day(home):
    settings, _, now_us = home
    wb = workbench.open(settings.home)
    chosen = wb.select("system_cpu_utilization_ratio", start="now-2d")
    lazy = chosen.to_dask()
    assert lazy.npartitions == now_us // DAY - (now_us - 2 * DAY) // DAY + 1
    assert len(lazy) == 101


def test_select_takes_matchers_and_refuses_what_is_no_selector(home):
    wb = workbench.open(home[0].home)
    found = select(wb.view, [Matcher("cpu_mode", "=~", "us.*")], 0, time.time_ns() // 1000)
    assert [labels["cpu_mode"] for labels in found.labels] == ["user"]
    for expr in ("sum(x)", "x[5m]", "x offset 5m"):
        with pytest.raises(QuerySyntaxError):
            wb.select(expr)
    limits = config.Query(max_samples=10)
    small = select(wb.view, "system_cpu_utilization_ratio", 0, time.time_ns() // 1000, limits=limits)
    with pytest.raises(QueryLimit):
        small.to_xarray()


def test_events_and_tables_come_once_per_key(home):
    wb = workbench.open(home[0].home)
    assert wb.events().type.tolist() == ["c.d", "a.c"]
    assert wb.events("a.").id.tolist() == ["1"]
    assert wb.table("series", columns=["name"]).num_rows == 2
    with pytest.raises(InputError, match="There are: series, samples"):
        wb.table("nothing")


def test_metrics_lists_what_can_be_asked(home):
    frame = workbench.open(home[0].home).metrics()
    assert frame.set_index("name").loc["system_cpu_utilization_ratio"].tolist() == ["gauge", "1", "use", 2]


def test_what_is_written_later_is_seen(home):
    settings, _, now_us = home
    wb = workbench.open(settings.home)
    writer = open_writer(settings)
    try:
        writer.append(samples(1, [now_us], [7])).result()
        assert wb.query('system_cpu_utilization_ratio{cpu_mode="user"}', time="now").values[0, 0] == 7
        assert len(wb.catalog["samples"].read()) == 102
    finally:
        writer.close()


def test_a_newcomer_is_told_what_is_there(home):
    wb = workbench.open(home[0].home)
    for text in (repr(wb), wb._repr_html_()):
        assert str(home[0].home) in text
        assert "system_cpu_utilization_ratio" in text
        assert "2 series" in text
    assert "<script" not in wb._repr_html_()


def test_an_empty_home_opens(tmp_path):
    wb = workbench.open(tmp_path / "nothing")
    assert wb.version == ""
    assert "nothing sealed yet" in repr(wb)
    assert wb.query("up").sizes == {"series": 0, "time": 1}
    assert len(wb.catalog["samples"].read()) == 0
    assert not (tmp_path / "nothing").exists()


def test_mistakes_are_explained(home):
    wb = workbench.open(home[0].home)
    for arguments in ({"end": "now"}, {"start": "now", "time": "now"}, {"time": "soon"}, {"start": "-1h", "step": "x"}):
        with pytest.raises(InputError):
            wb.query("up", **arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_every_table_opens_from_the_catalog(home, kind):
    wb = workbench.open(home[0].home)
    frame = wb.catalog[kind].read()
    assert list(frame.columns) == KINDS[kind].schema.names
    loaded = frame.compute()
    assert list(loaded.dtypes) == list(frame.dtypes)
    assert len(loaded) == wb.table(kind).num_rows


def test_columns_can_be_chosen(home):
    frame = workbench.open(home[0].home).catalog["samples"](columns=["value"]).read()
    assert list(frame.compute().columns) == ["value"]


def test_the_catalog_file_says_what_the_schema_says():
    assert (ROOT / "catalogs" / "workbench.yaml").read_text(encoding="utf-8") == as_yaml()
    assert yaml.safe_load(as_yaml()) == as_dict()
    entries = as_dict()["entries"]
    assert entries.keys() == KINDS.keys()
    for name, kind in KINDS.items():
        metadata = entries[name]["metadata"]
        assert metadata["owner"] == kind.owner
        assert metadata["classification"] == kind.classification
        assert metadata["retention_days"] == kind.retention_days
        assert metadata["columns"].keys() == set(kind.schema.names)


def test_the_catalog_file_opens_with_intake_alone(home, monkeypatch):
    settings, version, _ = home
    monkeypatch.setenv("WORKBENCH_HOME", str(settings.home))
    catalog = intake.open_catalog(str(ROOT / "catalogs" / "workbench.yaml"))
    assert list(catalog) == list(KINDS)
    assert catalog["samples"].metadata["owner"] == "platform"
    assert len(catalog["samples"].read()) == 101
    assert len(catalog(version=version)["samples"].read()) == 100


def test_it_works_in_a_plain_script(home):
    settings, _, _ = home
    read = "len(wb.catalog['samples'].read())"
    script = f"import workbench; wb = workbench.open({str(settings.home)!r}); print({read}, wb.version)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.split() == ["101", home[1]]


NOW = 1_700_000_000 * SECOND


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("now", NOW), ("now-1h", NOW - 3600 * SECOND), ("-5m", NOW - 300 * SECOND), ("now + 1s", NOW + SECOND),
        (5, 5 * SECOND), ("5.5", 5_500_000), ("1970-01-02", DAY), ("1970-01-01T01:00:00+01:00", 0),
        (pd.Timestamp("1970-01-01T00:00:01", tz="UTC"), SECOND), (pd.Timestamp("1970-01-01T00:00:01"), SECOND),
        (np.datetime64("1970-01-01T00:00:01"), SECOND), (pd.Timestamp("1970-01-02").date(), DAY),
    ],
)  # fmt: skip
def test_times_as_people_write_them(value, expected):
    assert moment_us(value, NOW) == expected


@pytest.mark.parametrize("value", ["", "soon", "nan", "1e300", "now-", "now-1q", float("inf"), "2026-13-01"])
def test_times_that_are_none(value):
    with pytest.raises(InputError):
        moment_us(value, NOW)


@pytest.mark.parametrize(("value", "expected"), [("1h30m", 5400), (15, 15), ("0.5", 0.5), ("250ms", 0.25)])
def test_durations_as_people_write_them(value, expected):
    assert duration_us(value) == expected * SECOND


def test_start_times_tell_a_reset_that_no_value_shows(settings):
    now_us = time.time_ns() // 1000
    with open_writer(settings) as writer:
        counter = Identity("prometheus", "jobs_total", "counter", "", "", (), ())
        (number,) = writer.register([(counter, "", "")], "test")
        times = [now_us - 40 * SECOND, now_us - 20 * SECOND, now_us - SECOND]
        starts = [times[0] - 100 * SECOND, times[0] - 100 * SECOND, times[2] - SECOND]
        columns = {"series": [number] * 3, "time": times, "type": [0] * 3, "value": [5.0, 6.0, 7.0]}
        writer.append(rows("samples", **columns, start_time=starts)).result()
        for _ in range(2):
            heeded, plain = config.Query(start_times=True), config.Query()
            resets = [
                instant(writer.view, "resets(jobs_total[1m])", now_us, limits=limits).values[0, 0]
                for limits in (heeded, plain)
            ]
            assert resets == [1, 0]
            began = instant(writer.view, "start_timestamp(jobs_total)", now_us, limits=heeded)
            assert began.values[0, 0] == pytest.approx(starts[2] / 1e6)
            assert not len(instant(writer.view, "start_timestamp(jobs_total)", now_us))
            writer.seal()
