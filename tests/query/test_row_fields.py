"""Rows of tables are shown by the fields that bear the labels' names; what names none is hidden."""

from __future__ import annotations

import pyarrow as pa
import pytest

from workbench.query import limited, parse_matchers
from workbench.query.row_fields import rows_shown
from workbench.schema import KINDS
from workbench.store import open_view, open_writer

AT = 1_700_000_000_000_000


def table(kind: str, *rows: dict) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=KINDS[kind].schema)


def event(id_: str, **more) -> dict:
    return {"source": "/a", "id": id_, "type": "t", "time": AT, **more}


def shown(kind: str, matchers: str, *rows: dict) -> list[bool]:
    return rows_shown(kind, table(kind, *rows), parse_matchers(matchers)).tolist()


@pytest.mark.parametrize(
    ("matchers", "expected"),
    [
        ('{domain="science"}', [True, True, False, False, False, False]),
        ('{domain!="science"}', [False, False, True, False, True, False]),
        ('{domain=~".*"}', [True, True, True, False, True, False]),
        ('{type="t", domain=~"science|arts"}', [True, True, True, False, False, False]),
        ('{subject="u"}', [False, False, False, False, False, True]),
    ],
)
def test_events_by_their_columns_extensions_and_data(matchers, expected):
    assert shown(
        "events", matchers,
        event("1", data='{"domain": "science", "n": 1}'),
        event("2", extensions=[("domain", "science")]),
        event("3", data='{"domain": "arts"}'),
        event("4", data="no json {", extensions=[]),
        event("5", data='{"domain": 7}'),
        event("6", subject="u", data='{"domain": {"a": "science"}}'),
    ) == expected  # fmt: skip


def test_attributes_of_the_platform_have_no_dots_in_events():
    rows = (event("1", extensions=[("domain", "arts")]), event("2", data='{"domain": "law"}'), event("3"))
    assert shown("events", '{synth_domain=~"arts|law"}', *rows) == [True, True, False]
    assert shown("events", '{synth_domain!="law"}', *rows) == [True, False, False]


def test_a_row_that_says_two_things_meets_neither_alone():
    two = event("1", data='{"domain": "science"}', extensions=[("domain", "arts")])
    assert shown("events", '{domain="science"}', two) == [False]
    assert shown("events", '{domain=~"science|arts"}', two) == [True]
    twice = event("2", data='{"a.b": "x", "a_b": "x"}')
    assert shown("events", '{a_b="x"}', twice) == [False]


def test_spans_and_logs_by_resource_and_attributes():
    resource = [("service.namespace", "stream"), ("service.name", "gateway"), ("service.instance.id", "g1")]
    span = {"trace_id": "1", "span_id": "2", "time": AT, "resource": resource, "attributes": [("http.route", "/x")]}
    log = {"time": AT, "severity": 9, "hash": "h", "resource": resource[1:]}
    assert shown("spans", '{job="stream/gateway", instance="g1", http_route="/x"}', span) == [True]
    assert shown("logs", '{job="gateway"}', log) == [True]
    assert shown("logs", '{severity="9"}', log) == [True]
    assert shown("logs", '{job!="gateway"}', log, {**log, "resource": None}) == [False, False]


def test_usage_costs_alerts_and_dead_letters():
    usage = {"time": AT, "hash": "h", "domain": "arts", "service_name": "judge", "provider": "p"}
    assert shown("usage", '{synth_domain="arts", job="judge", gen_ai_provider_name="p"}', usage) == [True]
    cost = {"charge_period_start": AT, "hash": "h", "tags": [("team", "a")], "focus": [("SubAccountId", "7")]}
    assert shown("costs", '{team="a", SubAccountId="7"}', cost, {**cost, "tags": []}) == [True, False]
    tagged = {**cost, "service_name": "Some cloud", "tags": [("service.name", "judge"), ("synth.domain", "arts")]}
    assert shown("costs", '{job="judge", synth_domain="arts"}', tagged, cost) == [True, False]
    alert = {"time": AT, "fingerprint": "f", "state": "firing", "labels": [("domain", "arts")]}
    assert shown("alerts", '{domain="arts"}', alert, {**alert, "labels": [("job", "x")]}) == [True, False]
    letter = {"id": "1", "time": AT, "source": "token:1", "payload": '{"domain": "arts"}'}
    assert shown("dead_letter", '{domain="arts"}', letter) == [False]
    assert shown("dead_letter", '{source="token:1"}', letter) == [True]


def test_maps_cut_out_of_a_larger_table():
    rows = [event(str(n), extensions=[("n", str(n)), ("k", "v")]) for n in range(6)]
    cut = pa.concat_tables([table("events", *rows[:3]), table("events", *rows[3:])]).slice(2, 3)
    assert rows_shown("events", cut, parse_matchers('{n=~"3|5"}')).tolist() == [False, True, False]


def test_a_limited_view_of_the_store(settings):
    with open_writer(settings) as writer:
        rows = [event("1", data='{"domain": "arts"}'), event("2", data='{"domain": "law"}'), event("3")]
        writer.append({"events": pa.RecordBatch.from_pylist(rows, schema=KINDS["events"].schema)}).result()
        entry = {"id": "1", "time": AT, "actor": "a", "action": "b", "target": "c", "detail": '{"domain": "arts"}'}
        writer.append({"audit": pa.RecordBatch.from_pylist([entry], schema=KINDS["audit"].schema)}).result()
        view = limited(open_view(settings), parse_matchers('{domain="arts"}'))
        for _ in range(2):  # from the log, then from the lake
            assert view.table("events", columns=["id"]).to_pydict() == {"id": ["1"]}
            assert view.table("events", columns=["id"], end_us=AT - 1).num_rows == 0
            assert view.table("events").schema == KINDS["events"].schema
            assert view.table("audit").num_rows == view.table("dead_letter").num_rows == 0
            assert not set(KINDS) - {kind for kind in KINDS if view.table(kind) is not None}
            writer.seal()
            view.refresh()
