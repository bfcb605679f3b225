"""Importing files into a real store: forms, guesses, bad rows, resuming."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.errors import InputError
from workbench.ingest import import_files
from workbench.ingest.files import load
from workbench.store import open_view

DATA = Path(os.environ.get("WORKBENCH_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


def contents(settings) -> dict[str, list[tuple[int, float]]]:
    """`name{labels}` -> [(time in seconds, value)] of everything in the store."""
    view = open_view(settings)
    series = view.registry.since(0)
    ids = np.array([one.id for one in series], np.int64)
    samples = view.samples(ids, -(2**60), 2**60)
    found = {}
    for id_, start, end in zip(samples.ids, samples.offsets[:-1], samples.offsets[1:], strict=True):
        identity = view.registry.get(int(id_)).identity
        inner = ",".join(f"{key}={value}" for key, value in identity.attributes)
        pairs = zip((samples.times_us[start:end] / 1e6).tolist(), samples.values[start:end].tolist(), strict=True)
        found[f"{identity.name}{{{inner}}}"] = list(pairs)
    return found


def dead_letters(settings) -> list[dict]:
    return open_view(settings).table("dead_letter").to_pylist()


def run(settings, path, mapping=None, **options):
    return import_files([path], mapping=mapping, settings=settings, **options)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def seconds(*moment: int) -> float:
    return datetime(*moment, tzinfo=UTC).timestamp()


def test_long_csv_with_guessed_columns(tmp_path, settings):
    path = write(tmp_path / "load.csv", "timestamp,value,host\n2014-04-01 00:00:00,1.5,a\n2014-04-01T00:05:00Z,2,b\n")
    result = run(settings, path)
    assert (result.rows, result.series, result.rejected) == (2, 2, 0)
    assert contents(settings) == {
        "load{host=a}": [(seconds(2014, 4, 1), 1.5)],
        "load{host=b}": [(seconds(2014, 4, 1, 0, 5), 2.0)],
    }


def test_a_mapping_names_and_renames(tmp_path, settings):
    path = write(tmp_path / "x.csv", "id,when,n,z,site\nreq,1700000000,5,9,eu\nreq,1700000060,6,9,eu\n")
    run(settings, path, {"id": "name", "when": "time:s", "n": "value", "site": "label:region", "z": "ignore"})
    assert contents(settings) == {"req{region=eu}": [(1700000000, 5.0), (1700000060, 6.0)]}


@pytest.mark.parametrize(
    ("unit", "stamp"), [("", 1700000000), ("", 1700000000_000), ("", 1700000000_000_000), (":ms", 1700000000_000)]
)
def test_numbers_since_1970_are_recognised(tmp_path, settings, unit, stamp):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"ts": [stamp], "value": [1.0]}), path)
    run(settings, path, {"ts": f"time{unit}"})
    assert contents(settings) == {"x{}": [(1700000000, 1.0)]}


def test_row_numbers_need_a_step_and_a_start(tmp_path, settings):
    path = tmp_path / "machines.parquet"
    table = pa.table({"entity": ["m1", "m1"], "t": pa.array([0, 1], pa.int32()), "f00": [1.0, 2.0], "f01": [3.0, None]})
    pq.write_table(table, path)
    with pytest.raises(InputError, match="do not count since 1970"):
        run(settings, path, {"t": "time", "f*": "value"})
    result = run(settings, path, {"t": "time:60s@2026-01-01T00:00:00Z", "f*": "value"})
    start = seconds(2026, 1, 1)
    assert result.rows == 3
    assert contents(settings) == {
        "machines{column=f00,entity=m1}": [(start, 1.0), (start + 60, 2.0)],
        "machines{column=f01,entity=m1}": [(start, 3.0)],
    }


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"nope": "value"}, "no column 'nope'"),
        ({"a": "time:60s"}, "a step needs a start"),
        ({"a": "time", "b": "time"}, "one column is the time"),
        ({"a": "time", "b": "ignore"}, "no column is a value"),
        ({"b": "value"}, "no column is the time"),
        ({"a": "time:1m@nonsense", "b": "value"}, "is no time"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(tmp_path, settings, mapping, words):
    path = write(tmp_path / "x.csv", "a,b\n1,2\n")
    with pytest.raises(InputError, match=words) as caught:
        run(settings, path, mapping)
    assert str(path) in caught.value.where
    assert not settings.log_dir.exists()


def test_bad_rows_go_to_the_dead_letters_with_their_line(tmp_path, settings):
    lines = [
        "time,value,host",
        "2026-01-01T00:00:00Z,1,a",
        "yesterday,2,a",
        "2026-01-01T00:01:00Z,many,a",
        "",
        "2026-01-01T00:02:00Z,3,a,b,c",
        "2026-01-01T00:03:00Z,,a",
        "2026-01-01T00:04:00Z,NaN,a",
        "2026-01-01T00:05:00Z,-inf," + "h" * 20_000,
        "2026-01-01T00:06:00Z,inf,a",
    ]
    path = write(tmp_path / "x.csv", "\n".join(lines) + "\n")
    result = run(settings, path)
    assert (result.rows, result.rejected) == (3, 4)
    found = {row["where"]: (row["reason"], row["door"], row["count"]) for row in dead_letters(settings)}
    assert found == {
        f"{path}:3": ("bad_row", "import", 1),
        f"{path}:4": ("bad_row", "import", 1),
        f"{path}:6": ("bad_row", "import", 1),
        f"{path}:9": ("label_too_long", "import", 1),
    }
    values = [value for _, value in contents(settings)["x{host=a}"]]
    assert [values[0], values[2]] == [1.0, float("inf")]
    assert np.isnan(values[1])


def test_line_numbers_survive_blocks_and_skipped_lines(tmp_path, settings, monkeypatch):
    monkeypatch.setattr("workbench.ingest.files.chunks.CSV_BLOCK_BYTES", 2000)
    rows = [
        "too,many,cells" if n % 100 == 50 else f"{1700000000 + n},{'x' if n % 100 == 70 else n}" for n in range(1000)
    ]
    path = write(tmp_path / "x.csv", "time,value\n" + "\n".join(rows) + "\n")
    result = run(settings, path)
    assert (result.rows, result.rejected) == (980, 20)
    wanted = {n + 2 for n in range(1000) if n % 100 in (50, 70)}
    assert {int(row["where"].rsplit(":", 1)[1]) for row in dead_letters(settings)} == wanted


def test_an_import_goes_on_where_it_stopped(tmp_path, settings, monkeypatch):
    monkeypatch.setattr("workbench.ingest.files.tables.PIECE_SAMPLES", 100)
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"time": np.arange(1000) + 1700000000, "value": np.arange(1000.0)}), path)
    real = load._Load.take

    def stop_at_four(self, number, piece):
        if number == 4:
            raise KeyboardInterrupt
        return real(self, number, piece)

    monkeypatch.setattr(load._Load, "take", stop_at_four)
    with pytest.raises(KeyboardInterrupt):
        run(settings, path)
    monkeypatch.setattr(load._Load, "take", real)
    shares = []
    result = run(settings, path, progress=lambda done, total, what: shares.append(done / total))
    assert (result.rows, result.resumed) == (700, 3)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    again = run(settings, path)
    assert (again.rows, again.resumed) == (0, 10)
    assert [value for _, value in contents(settings)["x{}"]] == list(range(1000))


def test_many_bad_rows_are_counted_not_listed(tmp_path, settings, monkeypatch):
    monkeypatch.setattr(load, "MAX_BAD_ROWS_PER_PIECE", 5)
    path = write(tmp_path / "x.csv", "time,value\n1700000000,1\n" + "1700000000,x\n" * 50 + "1700000000,1\n" * 60)
    assert run(settings, path).rejected == 50
    assert sorted(row["count"] for row in dead_letters(settings)) == [1] * 5 + [45]


OPENMETRICS = """\
# TYPE http_requests counter
# UNIT http_requests requests
# HELP http_requests Requests served.
http_requests_total{method="get",path="/a\\"b\\\\c"} 1027 1700000000 # {trace_id="x"} 1
http_requests_total{method="post"} 3 1700000000.5
# TYPE temperature gauge
temperature -3.5e1 1700000000
{"dotted.name",room="x"} 4 1700000000
old_style 7 1700000000123
broken{a="b" 1 1700000000
no_time 5
twice{a="1",a="2"} 1 1700000000
not_a_number zero 1700000000
# EOF
"""


def test_openmetrics_text(tmp_path, settings):
    path = tmp_path / "scrape.om.gz"
    path.write_bytes(gzip.compress(OPENMETRICS.encode()))
    result = run(settings, path)
    assert (result.rows, result.rejected) == (5, 4)
    assert contents(settings) == {
        'http_requests_total{method=get,path=/a"b\\c}': [(1700000000, 1027.0)],
        "http_requests_total{method=post}": [(1700000000.5, 3.0)],
        "temperature{}": [(1700000000, -35.0)],
        "dotted.name{room=x}": [(1700000000, 4.0)],
        "old_style{}": [(1700000000.123, 7.0)],
    }
    by_name = {one.identity.name: one for one in open_view(settings).registry.since(0)}
    counter = by_name["http_requests_total"]
    assert (counter.identity.type, counter.identity.unit) == ("counter", "requests")
    assert counter.description == "Requests served."
    assert {int(row["where"].rsplit(":", 1)[1]) for row in dead_letters(settings)} == {10, 11, 12, 13}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.json", b"{}", "is not known"),
        ("x.parquet", b"PAR1", "not a Parquet file"),
        ("x.csv", b"", "not readable as CSV"),
        ("x.csv", b"a,a\n1,2\n", "named twice"),
        ("x.prom", b"\xff\xfe\n", "not UTF-8"),
    ],
)
def test_files_that_cannot_be_read_are_refused(tmp_path, settings, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        run(settings, path)


def test_missing_files_and_other_kinds_are_refused(tmp_path, settings):
    with pytest.raises(InputError, match="no such file"):
        run(settings, tmp_path / "none.csv")
    with pytest.raises(InputError, match="cannot be imported"):
        run(settings, write(tmp_path / "x.csv", "time,value\n1700000000,1\n"), kind="audit")


def data(path: str) -> Path:
    """A file of the data folder; skips where somebody has none, as on any machine but ours."""
    if not (DATA / path).exists():
        pytest.skip(f"no {DATA / path}; set WORKBENCH_TEST_DATA to a folder of that form")
    return DATA / path


def test_nab_loads_whole(settings):
    path = data("nab/nab_series.parquet")
    run(settings, path)
    frame = pq.read_table(path).to_pandas()
    unique = frame.drop_duplicates(["file", "timestamp"], keep="last")
    found = contents(settings)
    assert len(found) == frame["file"].nunique()
    assert sum(map(len, found.values())) == len(unique)
    name = json.loads((path.parent / "nab_labels.json").read_text())["windows"].keys() & set(frame["file"])
    first = sorted(name)[0]
    one = unique[unique["file"] == first].sort_values("timestamp")
    assert [value for _, value in found[f"nab_series{{file={first}}}"]] == one["value"].tolist()


@pytest.mark.parametrize(("name", "since"), [("daily", 2024), ("hourly", 0)])
def test_forecast_series_load(tmp_path, settings, name, since):
    frame = pq.read_table(data(f"forecast/{name}_series.parquet")).to_pandas()
    frame = frame[frame["ds"].dt.year >= since]  # a day is a file of the lake: twelve years of days take their time
    path = tmp_path / f"{name}.parquet"
    frame.to_parquet(path)
    result = run(settings, path, {"unique_id": "name", "ds": "time", "y": "value"})
    assert result.rows == frame["y"].notna().sum()
    assert len(contents(settings)) == frame["unique_id"].nunique()


@pytest.mark.parametrize(("name", "step"), [("smd_machines", "1m"), ("asd_app_servers", "5m")])
def test_multivariate_files_load_whole(settings, name, step):
    path = data(f"multivariate/{name}.parquet")
    mapping = {"t": f"time:{step}@2026-01-01T00:00:00Z", "f*": "value", "label": "ignore"}
    result = run(settings, path, mapping)
    table = pq.read_table(path)
    columns = [c for c in table.column_names if c.startswith("f")]
    assert result.rows == sum(len(table) - table[c].null_count for c in columns)
    first = table.filter(pa.compute.equal(table["entity"], table["entity"][0]))
    first = first.filter(pa.compute.equal(first["part"], "train"))
    entity = first["entity"][0].as_py()
    kept = contents(settings)[f"{name}{{column=f03,entity={entity},part=train}}"]
    assert [value for _, value in kept] == first["f03"].to_pylist()


def test_traces_load_whole(settings):
    path = data("traces/azure_llm_inference_2023.parquet")
    run(settings, path, {"timestamp": "time", "*_tokens": "value"})
    frame = pq.read_table(path).to_pandas()
    frame["timestamp"] = frame["timestamp"].dt.floor("us")
    found = contents(settings)
    assert sum(map(len, found.values())) == 2 * len(frame.drop_duplicates(["service", "timestamp"]))
