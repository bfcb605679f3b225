"""Importing events, LLM calls and cost lines: forms, names, bad rows with file and line, doubles, resuming."""

from __future__ import annotations

import bz2
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.ingest.test_files import data
from workbench.errors import InputError
from workbench.ingest import import_files
from workbench.ingest.files import events, lines, load
from workbench.ingest.files.columns import maps
from workbench.store import open_view


def run(settings, path: Path, kind: str, mapping=None):
    return import_files([path], kind=kind, mapping=mapping, settings=settings)


def table(settings, kind: str) -> list[dict]:
    return open_view(settings).table(kind).to_pylist()


def refused(settings) -> dict[int, str]:
    """Line -> message."""
    return {int(row["where"].rsplit(":", 1)[1]): row["message"] for row in table(settings, "dead_letter")}


def event(id_: str, **more) -> dict:
    return {"specversion": "1.0", "id": id_, "source": "/a", "type": "t", "time": "2026-01-01T00:00:00Z", **more}


EVENTS = [event("1", data={"domain": "arts"}, tenant="x"), event("2", time="2020-05-01T00:00:00.5+02:00"), {"id": "3"}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.json", json.dumps(EVENTS).encode()),
        ("x.json.gz", gzip.compress(json.dumps(EVENTS).encode())),
        ("x.ndjson", b"\n".join(json.dumps(one).encode() for one in EVENTS)),
        ("x.jsonl.bz2", bz2.compress(b"\n".join(json.dumps(one).encode() for one in EVENTS) + b"\n\n")),
    ],
)
def test_cloudevents_as_json(tmp_path, settings, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    result = run(settings, path, "events")
    assert str(result) == "imported 2 rows of events from 1 files, 1 bad rows (see table dead_letter)"
    found = {row["id"]: row for row in table(settings, "events")}
    assert found["1"]["data"] == '{"domain":"arts"}'
    assert found["1"]["extensions"] == [("tenant", "x")]
    assert found["2"]["time"] == datetime(2020, 4, 30, 22, 0, 0, 500_000, tzinfo=UTC)
    assert list(refused(settings)) == [3]


def test_bad_json_lines_and_events_without_a_time_take_nothing_down(tmp_path, settings):
    path = tmp_path / "x.ndjson"
    path.write_text("\n".join([json.dumps(event("1")), "{broken", json.dumps(event("2", time=None)), "7", "[]"]))
    result = run(settings, path, "events")
    assert (result.rows, result.rejected) == (1, 4)
    assert sorted(refused(settings)) == [2, 3, 4, 5]
    assert "not valid JSON" in refused(settings)[2]


def test_events_from_a_table_of_their_own(tmp_path, settings):
    path = tmp_path / "shop.csv"
    path.write_text(
        "user_id,event,timestamp,platform,amount\n"
        "u1,cart,2024-03-13 10:21:14,web,5\nu1,cart,2024-03-13 10:21:14,web,5\n"
        "u2,pay,never,web,1\nu3,,2024-03-13 10:22:00,web,\n"
    )
    mapping = {"event": "type", "user_id": "subject", "amount": "data.amount"}
    result = run(settings, path, "events", mapping)
    assert (result.rows, result.rejected) == (2, 2)
    assert refused(settings) == {4: "timestamp is no time", 5: "type: is required: a text that is not empty"}
    [row] = table(settings, "events")  # the same line twice is one event
    assert (row["source"], row["type"], row["subject"], row["data"]) == (
        "import:shop.csv",
        "cart",
        "u1",
        '{"amount":"5"}',
    )
    assert row["extensions"] == [("platform", "web")]


def test_events_from_parquet_with_structured_data(tmp_path, settings):
    path = tmp_path / "x.parquet"
    rows = {
        "id": ["1"],
        "source": ["/a"],
        "type": ["t"],
        "time": [datetime(2026, 1, 1, tzinfo=UTC)],
        "data": [{"a": 1}],
    }
    pq.write_table(pa.table(rows), path)
    assert run(settings, path, "events").rows == 1
    assert json.loads(table(settings, "events")[0]["data"]) == {"a": 1}


USAGE = """\
timestamp,gen_ai.provider.name,model,prompt_tokens,completion_tokens,latency,cost,service,error.type,attempt
2026-01-01T00:00:00Z,openai,m-1,100,20,1.5,0.01,judge,,1
2026-01-01T00:00:01Z,openai,m-1,100.5,20,1.5,0.01,judge,,1
2026-01-01T00:00:02Z,openai,m-1,,,,,judge,timeout,2
yesterday,openai,m-1,1,1,1,1,judge,,1
2026-01-01T00:00:03Z,openai,m-1,1,1,fast,1,judge,,1
"""


def test_usage_by_the_names_that_files_have(tmp_path, settings):
    path = tmp_path / "calls.csv"
    path.write_text(USAGE)
    result = run(settings, path, "usage")
    assert (result.rows, result.rejected) == (2, 3)
    first, second = sorted(table(settings, "usage"), key=lambda row: row["time"])
    assert {name: first[name] for name in ("provider", "request_model", "input_tokens", "output_tokens")} == {
        "provider": "openai", "request_model": "m-1", "input_tokens": 100, "output_tokens": 20
    }  # fmt: skip
    assert (first["latency_seconds"], first["cost_usd"], first["service_name"]) == (1.5, 0.01, "judge")
    assert first["attributes"] == [("attempt", "1")]
    assert (second["input_tokens"], second["error_type"]) == (None, "timeout")
    assert refused(settings) == {
        3: "prompt_tokens is no whole number", 5: "timestamp is no time", 6: "latency is no number"
    }  # fmt: skip


def test_the_same_line_counts_once_whatever_file_it_comes_from(tmp_path, settings):
    path, other = tmp_path / "calls.csv", tmp_path / "other.parquet"
    path.write_text(USAGE)
    run(settings, path, "usage")
    again = run(settings, path, "usage")
    assert (again.rows, again.resumed) == (0, 1)
    columns = pv.read_csv(path, convert_options=pv.ConvertOptions(strings_can_be_null=True)).slice(0, 1)
    reordered = columns.select(columns.column_names[::-1]).append_column("region", pa.nulls(1, pa.string()))
    pq.write_table(reordered.set_column(0, "attempt", pa.array(["1"])), other)
    assert run(settings, other, "usage", {"prompt_tokens": "input_tokens"}).rows == 1
    assert len(table(settings, "usage")) == 2


def test_an_idempotency_key_of_the_client_comes_first(tmp_path, settings):
    path = tmp_path / "x.csv"
    path.write_text("time,cost,idempotency_key\n1700000000,1,a\n1700000000,2,a\n1700000000,2,\n1700000000,2,\n")
    assert run(settings, path, "usage").rows == 4
    assert sorted(row["cost_usd"] for row in table(settings, "usage")) == [2, 2]


FOCUS = (
    "BilledCost,EffectiveCost,BillingCurrency,ChargePeriodStart,ChargePeriodEnd,ServiceName,ServiceCategory,"
    "ChargeCategory,SkuId,x_domain,Tags\n"
    """\
0.0000008,NULL,USD,2024-09-18 22:00:00,2024-09-18 23:00:00,Queue,Integration,Usage,S1,arts,"{""env"":""dev"",""n"":1}"
1.5,1.25,USD,2024-09-18 22:00:00,NULL,Compute,Compute,Usage,S2,NULL,NULL
1.5,1.25,,2024-09-18 22:00:00,NULL,Compute,Compute,Usage,S2,NULL,NULL
1.5,1.25,USD,NULL,NULL,Compute,Compute,Usage,S2,NULL,NULL
much,1.25,USD,2024-09-18 22:00:00,NULL,Compute,Compute,Usage,S2,NULL,NULL
1.5,1.25,USD,2024-09-18 22:00:00,later,Compute,Compute,Usage,S2,NULL,NULL
1.5,1.25,USD,2024-09-18 22:00:00,NULL,Compute,Compute,Usage,S2,NULL,[1]
"""
)


def test_focus_by_its_own_names(tmp_path, settings):
    path = tmp_path / "bill.csv"
    path.write_text(FOCUS)
    result = run(settings, path, "costs")
    assert (result.rows, result.rejected) == (2, 5)
    queue, compute = sorted(table(settings, "costs"), key=lambda row: row["billed_cost"])
    assert (queue["billed_cost"], queue["effective_cost"], queue["billing_currency"]) == (0.0000008, None, "USD")
    assert queue["charge_period_end"] == datetime(2024, 9, 18, 23, tzinfo=UTC)
    assert queue["tags"] == [("env", "dev"), ("n", "1")]
    assert queue["focus"] == [("SkuId", "S1"), ("x_domain", "arts")]
    assert (compute["charge_period_end"], compute["tags"], compute["focus"]) == (None, [], [("SkuId", "S2")])
    assert refused(settings) == {
        4: "BillingCurrency is empty", 5: "ChargePeriodStart is no time", 6: "BilledCost is no number",
        7: "ChargePeriodEnd is no time", 8: "Tags is no JSON object",
    }  # fmt: skip


def test_a_real_bill_loads_whole(settings):
    path = data("cost/focus_1_0_sample.csv.gz")
    result = run(settings, path, "costs")
    frame = pv.read_csv(path, convert_options=pv.ConvertOptions(null_values=["NULL"], strings_can_be_null=True))
    assert (result.rows, result.rejected) == (frame.num_rows, 0)
    found = open_view(settings).table("costs")
    assert found.num_rows == frame.num_rows
    assert pc.sum(found["billed_cost"]).as_py() == pytest.approx(pc.sum(frame["BilledCost"].cast(pa.float64())).as_py())


def test_traces_of_real_services_load_as_usage(settings):
    path = data("traces/azure_llm_inference_2023.parquet")
    result = run(settings, path, "usage")
    frame = pq.read_table(path)
    assert (result.rows, result.rejected) == (frame.num_rows, 0)
    found = open_view(settings).table("usage")
    # What is the same to the microsecond is one call.
    distinct = frame.set_column(1, "timestamp", frame["timestamp"].cast(pa.timestamp("us"), safe=False))
    assert found.num_rows == distinct.group_by(distinct.column_names).aggregate([]).num_rows
    assert set(found["service_name"].to_pylist()) == set(frame["service"].to_pylist())
    assert found["input_tokens"].null_count == 0


@pytest.mark.parametrize(
    ("kind", "name", "content", "mapping", "words"),
    [
        ("costs", "x.csv", "BilledCost,BillingCurrency\n1,USD\n", {}, "no column is charge_period_start"),
        (
            "costs",
            "x.csv",
            "ChargePeriodStart,BillingCurrency\n2024-01-01,USD\n",
            {},
            "no column is any of",
        ),
        ("usage", "x.csv", "a,cost\n2024-01-01,1\n", {"b": "time"}, "no column 'b'"),
        ("usage", "x.csv", "a,b,cost\n1,2,3\n", {"a": "time", "b": "time"}, "are both time"),
        ("usage", "x.json", "{}", {}, "not a file of this kind"),
        ("events", "x.txt", "", {}, "not a file of events"),
        ("events", "x.json", "{", {}, "not valid JSON"),
        ("events", "x.json", "[]", {"a": "id"}, "say themselves"),
        ("events", "x.csv", "time,a\n2024-01-01,b\n", {}, "no column is the type"),
    ],
)
def test_files_that_do_not_fit_are_refused_before_anything_is_written(
    tmp_path, settings, kind, name, content, mapping, words
):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match=words) as caught:
        run(settings, path, kind, mapping)
    assert str(path) in caught.value.where
    assert not settings.log_dir.exists()


def test_an_import_of_events_goes_on_where_it_stopped(tmp_path, settings, monkeypatch):
    monkeypatch.setattr(events, "ROWS", 100)
    path = tmp_path / "x.ndjson"
    path.write_text("\n".join(json.dumps(event(str(n))) for n in range(1000)))
    real = load._Load.take

    def stop_at_four(self, number, piece):
        if number == 4:
            raise KeyboardInterrupt
        return real(self, number, piece)

    monkeypatch.setattr(load._Load, "take", stop_at_four)
    with pytest.raises(KeyboardInterrupt):
        run(settings, path, "events")
    monkeypatch.setattr(load._Load, "take", real)
    result = run(settings, path, "events")
    assert (result.rows, result.resumed) == (700, 3)
    assert {row["id"] for row in table(settings, "events")} == {str(n) for n in range(1000)}


def test_a_piece_read_twice_has_the_same_rows(tmp_path, settings):
    """What a crash cut short is loaded again; the store compares."""
    for name, content, kind in (("x.csv", FOCUS, lines.COSTS), ("y.csv", USAGE, lines.USAGE)):
        path = tmp_path / name
        path.write_text(content)
        first, second = (next(lines.read_lines(path, kind, {}, 1000)).batch for _ in range(2))
        assert first.equals(second)
    path = tmp_path / "x.json"
    path.write_text(json.dumps(EVENTS))
    first, second = (next(events.read_events(path, {}, settings.ingest)).batch for _ in range(2))
    assert first.equals(second)


@hypothesis_settings(deadline=None)
@given(
    st.dictionaries(st.text(min_size=1, max_size=3), st.lists(st.none() | st.text(max_size=3), min_size=4, max_size=4))
)
def test_maps_hold_what_the_columns_held(columns):
    found = maps({key: pa.array(cells, pa.string()) for key, cells in columns.items()}, 4).to_pylist()
    for row in range(4):
        wanted = {key: cells[row] for key, cells in sorted(columns.items()) if cells[row] is not None}
        assert found[row] == list(wanted.items())


@hypothesis_settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200), st.sampled_from(["x.csv", "x.json", "x.ndjson", "x.parquet"]),
       st.sampled_from(["events", "usage", "costs"]))  # fmt: skip
def test_any_bytes_are_refused_or_read(tmp_path_factory, content, name, kind):
    from workbench.config import Ingest

    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(content)
    try:
        for piece in load._pieces(path, kind, {}, Ingest()):
            assert piece.batch.num_rows == 0 or content
    except InputError:
        pass
