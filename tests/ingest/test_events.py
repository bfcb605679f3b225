"""CloudEvents: what is kept, what is refused and how the sender hears of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ingest.test_http import post
from workbench.config import Settings
from workbench.ingest.events import BATCH, PLAIN, SINGLE, decode_events, events_batch, rfc3339_us


def event(**changes: Any) -> dict[str, Any]:
    made = {
        "specversion": "1.0",
        "id": "01J",
        "source": "/synth/api_gateway/1",
        "type": "ai.synth.content.accepted.v1",
        "time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "subject": "u-1",
        "datacontenttype": "application/json",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "data": {"domain": "mathematics", "scores": [1, 2.5]},
    }
    made.update(changes)
    return {key: value for key, value in made.items() if value is not ...}


def send(receiver, body: Any, media: str = PLAIN):
    return post(receiver, "/events", body if isinstance(body, bytes) else orjson.dumps(body), {"content-type": media})


@pytest.mark.parametrize(
    ("media", "body", "ids"),
    [
        (SINGLE, event(), ["01J"]),
        (SINGLE + "; charset=utf-8", event(), ["01J"]),
        (BATCH, [event(), event(id="02")], ["01J", "02"]),
        (BATCH, [], []),
        (PLAIN, event(), ["01J"]),
        (PLAIN, [event(id="03")], ["03"]),
    ],
)
def test_every_form_is_kept(receiver, writer, media, body, ids):
    response = send(receiver, body, media)
    assert (response.status_code, response.json()) == (200, {"accepted": len(ids), "rejected": 0, "errors": []})
    assert [row["id"] for row in writer.rows("events")] == ids


def test_all_of_an_event_is_kept(receiver, writer):
    sent = event(time="2026-01-31T13:00:00.123456789+01:00")
    now_us = int(datetime(2026, 1, 31, 12, 5, tzinfo=UTC).timestamp() * 1e6)
    row = decode_events(orjson.dumps(sent), SINGLE, now_us, receiver.limits).rows[0]
    assert row["time"] == int(datetime(2026, 1, 31, 12, 0, 0, 123456, UTC).timestamp()) * 1_000_000 + 123456
    assert orjson.loads(row["data"]) == sent["data"]
    assert row["extensions"] == [("traceparent", sent["traceparent"])]
    assert (row["subject"], row["datacontenttype"], row["received"]) == ("u-1", "application/json", now_us)


def test_an_event_without_time_gets_the_time_of_receipt(receiver, writer):
    before = time.time()
    assert send(receiver, event(time=...)).status_code == 200
    row = writer.rows("events")[0]
    assert row["time"] == row["received"]
    assert before - 1 <= row["time"].timestamp() <= time.time() + 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"specversion": ...}, "specversion"),
        ({"id": ""}, "id"),
        ({"id": 5}, "id"),
        ({"source": ...}, "source"),
        ({"type": None}, "type"),
        ({"subject": 1}, "subject"),
        ({"time": "yesterday"}, "time"),
        ({"time": 1700000000}, "time"),
        ({"time": "2026-02-30T00:00:00Z"}, "time"),
        ({"time": "1999-01-01T00:00:00Z"}, "time"),
        ({"time": (datetime.now(UTC) + timedelta(hours=2)).isoformat()}, "time"),
        ({"Extension": "x"}, "Extension"),
        ({"ext": [1]}, "ext"),
        ({"ext": "x" * 20_000}, "ext"),
        ({"data_base64": "AA=="}, "data_base64"),
    ],
)
def test_a_bad_event_is_refused_and_the_others_are_kept(receiver, writer, change, field):
    response = send(receiver, [event(id="good"), event(**change)])
    answer = response.json()
    assert (response.status_code, answer["accepted"], answer["rejected"]) == (200, 1, 1)
    assert (answer["errors"][0]["index"], answer["errors"][0]["field"]) == (1, field)
    assert [row["id"] for row in writer.rows("events")] == ["good"]
    dead = writer.rows("dead_letter")
    assert [(row["door"], row["count"]) for row in dead] == [("events", 1)]
    assert dead[0]["payload"]


def test_nothing_accepted_is_400(receiver):
    assert send(receiver, [event(id="")]).status_code == 400
    assert send(receiver, ["text", 1, None]).json()["rejected"] == 3


@pytest.mark.parametrize(
    ("media", "body", "status"),
    [
        (SINGLE, [event()], 400),
        (BATCH, event(), 400),
        (PLAIN, b"{", 400),
        (PLAIN, b"\xff", 400),
        ("application/x-protobuf", event(), 415),
        ("text/plain", event(), 415),
    ],
)
def test_a_body_of_another_shape_is_refused_whole(receiver, media, body, status):
    response = send(receiver, body, media)
    assert response.status_code == status
    assert set(response.json()) == {"error", "message", "where", "hint"}


def test_binary_data_is_marked(receiver, writer):
    assert send(receiver, event(data=..., data_base64="AAE=")).status_code == 200
    row = writer.rows("events")[0]
    assert orjson.loads(row["data"]) == "AAE="
    assert ("data_base64", "true") in row["extensions"]


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_rfc3339_agrees_with_datetime(moment, minutes):
    sign, size = ("-" if minutes < 0 else "+"), abs(minutes)
    text = f"{moment:%Y-%m-%dT%H:%M:%S.%f}{sign}{size // 60:02}:{size % 60:02}"
    wanted = (moment - timedelta(minutes=minutes) - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    assert rfc3339_us(text) == wanted


@given(st.text(max_size=40))
def test_rfc3339_takes_any_text(text):
    assert rfc3339_us(text) is None or text[0].isdigit()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*event(), "dataschema", "data_base64", "ext", "Ä"]), json_values, max_size=6))
def test_any_event_is_a_row_or_a_fault(changes):
    """Whatever the attributes hold, the event is refused by name or makes a row that the schema takes."""
    limits = Settings().ingest
    now_us = time.time_ns() // 1000
    found = decode_events(orjson.dumps([event(**changes), event(id="good")]), PLAIN, now_us, limits)
    assert len(found.rows) + len(found.faults) == 2
    assert found.rows[-1]["id"] == "good"
    assert events_batch(found.rows).num_rows == len(found.rows)
