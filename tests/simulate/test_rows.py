"""Single rows agree with what the metrics count, with each other, and with the door they come through."""

from __future__ import annotations

import json
import time
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.simulate.moments import CELL_US, DAY_US, alone, platform, us
from workbench import config
from workbench.ingest import Caller, Receiver
from workbench.simulate import Incident, Platform
from workbench.simulate.catalogue.company import DOMAINS, MODELS
from workbench.simulate.catalogue.models import ERRORS
from workbench.simulate.live import BATCH
from workbench.simulate.prices import PRICES
from workbench.simulate.rows.bills import day_lines
from workbench.simulate.rows.cell import joined, rows_of
from workbench.simulate.rows.counts import Cell
from workbench.simulate.rows.events import cloud_events
from workbench.store import open_writer

FIRST = us("2026-09-02T09:00:00") // CELL_US  # early in a month: little has to be drawn before it
PLACES = range(FIRST, FIRST + 24)


@cache
def batches() -> dict[str, pa.RecordBatch]:
    """Two busy hours."""
    return joined(rows_of(platform(), place) for place in PLACES)


@cache
def events() -> list[dict[str, Any]]:
    return [{**row, "data": json.loads(row["data"])} for row in batches()["events"].to_pylist()]


def named(name: str, found: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    return [row for row in (events() if found is None else found) if row["type"] == f"ai.synth.{name}.v1"]


def counted(name: str, **attributes: str) -> int:
    return sum(Cell(platform(), place).number(name, **attributes) for place in PLACES)


def test_the_same_seed_gives_the_same_rows_and_another_gives_others():
    again, other = Platform(42), Platform(43)
    for kind, table in rows_of(platform(), FIRST).items():
        assert rows_of(again, FIRST)[kind].equals(table)
        assert not rows_of(other, FIRST)[kind].equals(table)


def test_there_is_an_event_for_each_item_that_is_counted():
    for domain in DOMAINS:
        for segment in ("teacher", "school"):
            for status in ("requested", "accepted", "discarded", "published"):
                number = counted(
                    "synth.content.items", synth__domain=domain, synth__segment=segment, synth__status=status
                )
                mine = [
                    row
                    for row in named(f"content.{status}")
                    if {("domain", domain), ("segment", segment)} <= set(row["extensions"])
                ]
                assert len(mine) == pytest.approx(number, abs=2 if status == "published" else 0), (domain, status)


def test_what_is_requested_is_accepted_discarded_or_in_flight():
    totals = {
        status: sum(
            Cell(platform(), FIRST).total(
                "synth.content.items", synth__domain=domain, synth__segment=segment, synth__status=status
            )[1]
            for domain in DOMAINS
            for segment in ("teacher", "school")
        )
        for status in ("requested", "accepted", "discarded")
    }
    in_flight = totals["requested"] - totals["accepted"] - totals["discarded"]
    assert 0 <= in_flight <= len(DOMAINS) * 2
    requested = Counter(row["subject"] for row in named("content.requested"))
    ended = Counter(row["subject"] for row in named("content.accepted") + named("content.discarded"))
    assert max(requested.values()) == max(ended.values()) == 1
    assert len(set(ended) - set(requested)) <= len(DOMAINS) * 2, "those in flight as the two hours began"
    assert len(set(requested) - set(ended)) <= len(DOMAINS) * 2


def test_an_item_has_its_story_in_order():
    stories: dict[str, list[tuple[Any, str]]] = {}
    for row in events():
        if row["type"].split(".")[2] == "content" and row["type"].split(".")[3] not in {"rated", "audited", "reported"}:
            stories.setdefault(row["subject"], []).append((row["time"], row["type"].split(".")[3]))
    whole = [
        sorted(story) for story in stories.values() if any(name == "requested" for _, name in story) and len(story) >= 4
    ]
    assert len(whole) > 500
    for story in whole:
        names = [name for _, name in story]
        assert names[:3] == ["requested", "generated", "validated"]
        assert names[3:] in (["accepted"], ["accepted", "published"], ["discarded"])
    accepted = {row["subject"] for row in named("content.accepted")}
    assert accepted >= {row["subject"] for row in named("content.published")}


def test_people_are_counted_one_by_one():
    at = {"synth__segment": "teacher"}
    sessions = [row for row in named("session.start") if ("segment", "teacher") in row["extensions"]]
    assert len(sessions) == pytest.approx(counted("synth.session.duration", **at), abs=5), "buckets are rounded each"
    exports = [
        row
        for row in named("feature.used")
        if row["data"]["feature"] == "export" and ("segment", "teacher") in row["extensions"]
    ]
    assert len(exports) == counted("synth.feature.uses", **at, synth__feature="export")
    joined_up = counted("synth.users.signups", synth__plan="default", **at)
    mine = {("plan", "default"), ("segment", "teacher")}
    assert len([row for row in named("user.signed_up") if mine <= set(row["extensions"])]) == joined_up
    known = {row["data"]["session.id"] for row in named("session.start")}
    ends = [row for row in named("session.end") if row["data"]["session.id"] in known]
    assert len(ends) > 0.8 * len(known)


def test_there_is_a_sign_in_for_each_that_is_counted():
    found = Counter(
        (row["data"]["auth_protocol"], row["data"]["status_id"])
        for row in named("security.authentication")
        if row["data"]["type_uid"] == 300201
    )
    for method in ("oauth2", "jwt", "key"):
        for status, outcome in ((1, "success"), (2, "failure")):
            number = counted("synth.gateway.auth", synth__method=method, synth__outcome=outcome)
            assert found[method, status] == number


def test_there_is_a_row_for_each_call_and_it_costs_its_tokens():
    calls = batches()["usage"].to_pylist()
    for model in MODELS:
        mine = [row for row in calls if row["request_model"] == model.name]
        at = {
            "gen_ai__operation__name": "chat",
            "gen_ai__provider__name": model.provider,
            "gen_ai__request__model": model.name,
        }
        for error in ("", *ERRORS):
            failed = {"error__type": error} if error else {}
            number = counted("gen_ai.client.operation.duration", **at, **failed)
            assert len([row for row in mine if row["error_type"] == error]) == number
        price = PRICES[model.name]
        for row in mine:
            assert row["role"] in dict(model.roles)
            if row["error_type"]:
                assert row["input_tokens"] == row["output_tokens"] == row["cost_usd"] == 0
            elif not platform().schedule.strengths(np.array([PLACES[0] * CELL_US])).get(f"price:{model.name}"):
                expected = row["input_tokens"] * price.input_per_1k + row["output_tokens"] * price.output_per_1k
                assert row["cost_usd"] == pytest.approx(expected / 1000, abs=1e-8)


def test_tokens_cost_what_the_counters_say_on_every_way():
    """Counters of cost, sums of tokens times price, and cost lines: the same dollars, to the last rounding."""
    number = us("2026-09-03") // DAY_US
    with alone():
        calm = Platform(42)
        lines = [one for one in day_lines(calm, number) if one["service_category"] == "AI and Machine Learning"]
        for model in MODELS:
            mine = [metric for metric in calm.counted if ("gen_ai.request.model", model.name) in metric.attributes]
            spent = sum(calm.day_sum(number, one.name, one.attributes) for one in mine if one.name == "synth.llm.cost")
            worth = sum(
                calm.day_sum(number, one.name, one.attributes)
                * PRICES[model.name].per_token(dict(one.attributes)["gen_ai.token.type"])
                for one in mine
                if one.name == "gen_ai.client.token.usage"
            )
            billed = sum(line["billed_cost"] for line in lines if dict(line["focus"])["SkuId"].startswith(model.name))
            assert spent == pytest.approx(worth, rel=1e-9)
            assert billed == pytest.approx(spent, rel=1e-4)
        tokens = {dict(line["focus"])["SkuId"]: 0.0 for line in lines}
        for line in lines:
            tokens[dict(line["focus"])["SkuId"]] += float(dict(line["focus"])["ConsumedQuantity"])
        assert tokens["gpt-4o-mini/input"] > 5e6
    cost, rows = sum(row["cost_usd"] for row in batches()["usage"].to_pylist()), len(batches()["usage"])
    counter = sum(
        platform().counted[place].quantum * counted(name, **{k.replace(".", "__"): v for k, v in at})
        for (name, at), place in platform().places.items()
        if name == "synth.llm.cost"
    )
    assert rows > 8000
    assert cost == pytest.approx(counter, rel=0.08), "drawn within the buckets, as they are"


def test_the_door_takes_every_event_as_it_is(settings: config.Settings):
    place = time.time_ns() // 1000 // CELL_US - 1
    batch = rows_of(Platform(42), place)["events"]
    with open_writer(settings) as writer:
        receiver = Receiver(writer, settings)
        outcome = receiver.events(cloud_events(batch.to_pylist()), BATCH, "", Caller("token:1", False))
        assert outcome.rejected == 0, outcome.message
        outcome.future.result(30)
        receiver.close()
        kept = writer.view.table("events")
    assert sorted(kept["id"].to_pylist()) == sorted(batch["id"].to_pylist())
    assert sorted(kept["data"].to_pylist()) == sorted(batch["data"].to_pylist())


def started(kind: str, hours: float, target: str, from_hours: float, to_hours: float) -> list[dict[str, Any]]:
    """Events of those hours after the begin of an incident that happens alone."""
    with alone():
        one = Platform(42, (Incident(kind, FIRST * CELL_US, FIRST * CELL_US + int(hours * 3600e6), target),))
        first, last = (FIRST + int(at * 12) for at in (from_hours, to_hours))
        batch = joined(rows_of(one, place) for place in range(first, last))["events"]
        return [{**row, "data": json.loads(row["data"])} for row in batch.to_pylist()]


def signed_in(rows: list[dict[str, Any]], *, oddly: bool | None = None) -> list[dict[str, Any]]:
    """Attempts to sign in; from odd addresses, from the usual ones, or (None) from all."""
    return [
        one
        for one in named("security.authentication", rows)
        if oddly is None or one["data"]["src_endpoint"]["ip"].startswith("198.18") == oddly
    ]


def test_a_stolen_list_of_passwords_is_tried_from_many_places():
    before, during = (started("credential_stuffing", 0.5, "sign-in", *hours) for hours in ((-0.5, 0), (0, 0.5)))
    failed = [[one for one in signed_in(rows) if one["data"]["status_id"] == 2] for rows in (before, during)]
    assert len(failed[1]) > 20 * len(failed[0])
    assert len({one["data"]["src_endpoint"]["ip"] for one in signed_in(during, oddly=True)}) > 100
    assert not signed_in(before, oddly=True)
    assert any(one["data"]["activity_id"] == 9 for one in named("security.account_change", during)), "locked"


def test_nobody_travels_that_fast():
    rows = started("impossible_travel", 0.5, "user", 0, 0.5)
    (odd,) = signed_in(rows, oddly=True)
    home = [one for one in signed_in(rows, oddly=False) if one["subject"] == odd["subject"]]
    assert min((odd["time"] - one["time"]).total_seconds() for one in home) <= 1200
    (vpn,) = signed_in(started("impossible_travel", 0.5, "vpn", 0, 0.5), oddly=True)
    assert vpn["data"]["src_endpoint"]["is_vpn"] is True


def test_a_new_key_and_fifty_times_as_many_bytes():
    rows = started("data_exfiltration", 1.0, "user", 0, 1)
    keys = [one for one in named("security.api_activity", rows) if one["time"].timestamp() * 1e6 == FIRST * CELL_US]
    (key,) = keys
    sizes = {True: [], False: []}
    for one in named("security.web_resources", rows):
        sizes[one["subject"] == key["subject"]].append(one["data"]["web_resources"][0]["size"])
    assert len(sizes[True]) > 50
    assert np.median(sizes[True]) > 30 * np.median(sizes[False])


def test_events_of_a_skewed_host_come_from_the_future():
    rows = started("clock_skew", 3.0, "sim-1", 2.5, 2.75)
    ahead = {
        source: np.median([(one["time"] - one["received"]).total_seconds() for one in rows if source in one["source"]])
        for source in ("api_gateway", "orchestrator")
    }
    assert ahead["api_gateway"] == pytest.approx(2.6 * 60, rel=0.1)
    assert ahead["orchestrator"] < 0


@pytest.mark.parametrize(
    ("kind", "target", "hours", "names"),
    [
        ("prompt_regression", "arts", 1.0, ["change.prompt", "change.rolled_back"]),
        ("validator_fp_surge", "all", 1.0, ["change.config", "change.rolled_back"]),
        ("memory_leak", "orchestrator", 1.0, ["change.deployed", "change.deployed"]),
        ("bad_release", "1.5.0", 1.5, ["change.deployed", "change.deployed", "change.rolled_back"]),
        ("price_change", "gpt-4o-mini", 1.0, ["change.price", "change.price"]),
        ("traffic_surge", "launch", 1.0, ["calendar.launch"]),
    ],
)
def test_a_change_is_told_when_it_is_made(kind, target, hours, names):
    rows = started(kind, hours, target, -0.5, hours + 0.5)
    told = [row for row in rows if row["type"].split(".")[2] in {"change", "calendar"}]
    told = [row for row in told if row["type"].split(".")[3] not in {"flag", "scaled", "model"}]
    assert [row["type"].removeprefix("ai.synth.").removesuffix(".v1") for row in told] == names


def test_fewer_of_a_lost_cohort_come_back():
    day_us = us("2026-09-10")
    with alone():
        lossy = Platform(42, (Incident("cohort_loss", day_us, day_us + 7 * DAY_US, "sign-up"),))
        calm = Platform(42)

        def returned(one: Platform) -> float:
            """Of those who signed up within the week, how many were there a day later, per sign-up."""
            share = []
            for number in range(day_us // DAY_US, day_us // DAY_US + 6):
                cohort = len(one.people.day(number).joined.plan)
                users = one.people.day(number + 1).users
                share.append(len({tuple(user) for user in users.tolist() if user[0] == number}) / cohort)
            return float(np.mean(share))

        assert returned(calm) - returned(lossy) == pytest.approx(0.08, abs=0.035)
