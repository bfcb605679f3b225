"""The history: planned once, cut newest first, resumed where it was, and one series with what comes live."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulate.moments import CELL_US, DAY_US, STEP_US, platform, us
from workbench import config, ingest, store
from workbench.errors import StoreError
from workbench.simulate import incidents
from workbench.simulate.history import samples
from workbench.simulate.identity import registration
from workbench.simulate.loader import load_history
from workbench.simulate.otlp import Payload
from workbench.simulate.plan import FIRST_PIECE_US, Memory, Plan, planned, recall, remember
from workbench.simulate.progress import Progress

NOW = us("2026-10-03T10:07:33")


@given(start_us=st.integers(0, 200 * DAY_US), length_us=st.integers(0, 70 * DAY_US))
def test_pieces_cover_every_cell_once_newest_first(start_us, length_us):
    plan = Plan.of(start_us, start_us + length_us)
    pieces = plan.pieces()
    times = [time_us for first_us, last_us in reversed(pieces) for time_us in range(first_us, last_us + 1, CELL_US)]
    assert times == [t for t in range(-(-start_us // CELL_US) * CELL_US, start_us + length_us + 1, CELL_US)]  # noqa: C416
    assert all(first_us // DAY_US == last_us // DAY_US for first_us, last_us in pieces), "one partition each"
    if pieces:
        assert pieces[0][1] - pieces[0][0] <= FIRST_PIECE_US


def test_the_first_start_plans_all_history_and_a_restart_keeps_the_plan():
    first = planned(Memory(), NOW, 60)
    (plan,) = first.plans
    assert plan.end_us == NOW // CELL_US * CELL_US
    assert plan.start_us == pytest.approx(NOW - 60 * DAY_US, abs=CELL_US)
    assert planned(first, NOW + DAY_US, 60) == first, "not delivered yet: the same plan goes on"


def test_a_time_it_did_not_run_is_planned_and_what_is_done_is_forgotten():
    first = planned(Memory(), NOW, 60)
    done = replace(first, live_us=NOW, plans=tuple(replace(plan, done=len(plan.pieces())) for plan in first.plans))
    assert planned(done, NOW + CELL_US, 60) == replace(done, plans=())
    later = planned(done, NOW + DAY_US, 60)
    (gap,) = later.plans
    assert (gap.start_us, gap.end_us) == (NOW // CELL_US * CELL_US + CELL_US, (NOW + DAY_US) // CELL_US * CELL_US)
    assert gap.load_id != first.plans[0].load_id
    (long_gap,) = planned(done, NOW + 300 * DAY_US, 60).plans
    assert long_gap.end_us - long_gap.start_us <= 60 * DAY_US
    unfinished = planned(replace(first, live_us=NOW), NOW + DAY_US, 60)
    assert [plan.end_us for plan in unfinished.plans] == [gap.end_us, first.plans[0].end_us], "newest first"


def test_memory_survives(tmp_path):
    file = tmp_path / "state" / "demo.json"
    assert recall(file) == Memory()
    memory = replace(planned(Memory(), NOW, 60), live_us=NOW)
    remember(file, memory)
    assert recall(file) == memory
    assert list(file.parent.iterdir()) == [file]
    for text in ("", "{", "[]", '{"plans": [{"x": 1}], "live_us": 0, "since_us": 0}'):
        file.write_text(text)
        assert recall(file) == Memory(), "all history is loaded again then"


def test_batches_are_sorted_and_typed():
    ids = np.arange(len(platform().series), 0, -1) + 7
    batch = samples(platform(), ids, us("2026-10-01"), us("2026-10-01T01:00:00"))
    batch.validate(full=True)
    table = pa.table(batch)
    assert table.num_rows == 13 * len(ids)
    assert table.equals(table.sort_by([("series", "ascending"), ("time", "ascending")]))
    row = 3
    mine = table.filter(pa.compute.equal(table["series"], int(ids[row])))
    times_us = us("2026-10-01") + np.arange(13) * CELL_US
    assert mine["time"].cast(pa.int64()).to_pylist() == times_us.tolist()
    np.testing.assert_array_equal(mine["value"].to_numpy(), platform().values(times_us)[row])
    gauges = {int(ids[row]) for row, series in enumerate(platform().series) if series.metric.type == "gauge"}
    without_start = table.filter(pa.compute.is_null(table["start_time"]))
    assert set(without_start["series"].to_pylist()) == gauges


class FakeWriter:
    """Keeps numbers; fails when told to, before or after the piece is kept."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, int], int] = {}
        self.calls: list[int] = []
        self.fail: dict[int, str] = {}
        self.sources: set[str] = set()

    def register(self, new: list[Any], source: str) -> list[int]:
        self.sources.add(source)
        return list(range(1, len(new) + 1))

    def load(self, load_id: str, number: int, batches: Mapping[str, pa.RecordBatch]) -> bool:
        self.calls.append(number)
        when = self.fail.pop(number, "")
        if when == "before":
            raise StoreError("the hub does not answer")
        fresh = (load_id, number) not in self.kept
        self.kept[load_id, number] = batches["samples"].num_rows
        if when == "after":
            raise ConnectionResetError("gone")
        return fresh


def never(seconds: float) -> bool:
    return False


@pytest.fixture
def short(tmp_path) -> config.Settings:
    return config.load(tmp_path / "home", environ={}, flags={"demo.history_days": 2})


def test_a_load_goes_on_after_every_kind_of_failure_and_loads_nothing_twice(short):
    progress, writer = Progress(short, NOW), FakeWriter()
    (plan,) = progress.memory.plans
    pieces = plan.pieces()
    writer.fail = {1: "before", 2: "after", len(pieces): "after"}
    load_history(platform(), progress, lambda: nullcontext(writer), never, detail_days=0)
    assert writer.calls == [1, 1, 2, 2, *range(3, len(pieces)), len(pieces), len(pieces)]
    assert writer.sources == {f"load:{plan.load_id}"}
    assert sum(writer.kept.values()) == len(platform().series) * ((plan.end_us - plan.start_us) // CELL_US + 1)
    # a new process has nothing left to do
    calls = len(writer.calls)
    load_history(platform(), Progress(short, NOW), lambda: nullcontext(writer), never, detail_days=0)
    assert len(writer.calls) == calls


def test_it_ends_between_pieces_and_the_next_process_goes_on(short):
    writer = FakeWriter()

    def after_two(seconds: float) -> bool:
        return len(writer.calls) >= 2

    load_history(platform(), Progress(short, NOW), lambda: nullcontext(writer), after_two, detail_days=0)
    assert writer.calls == [1, 2]
    progress = Progress(short, NOW + DAY_US)
    load_history(platform(), progress, lambda: nullcontext(writer), never, detail_days=0)
    assert writer.calls == list(range(1, len(progress.memory.plans[0].pieces()) + 1))


def test_pages_are_told_how_far_it_is(short):
    shown: list[dict[str, Any]] = []
    file = short.runtime_dir / "demo.json"

    def look(seconds: float = 0) -> bool:
        shown.append(json.loads(file.read_text()))
        return False

    writer = FakeWriter()
    writer.fail = {2: "before"}
    progress = Progress(short, NOW)
    load_history(platform(), progress, lambda: nullcontext(writer), look, detail_days=0)
    look()
    assert shown[0]["state"] == "loading"
    assert shown[0]["done"] == 0
    assert [one["message"] for one in shown if one["state"] == "waiting"] == ["the hub does not answer"] * 2
    assert [one["done"] for one in shown] == sorted(one["done"] for one in shown)
    assert (shown[-1]["state"], shown[-1]["done"], shown[-1]["live"]) == ("live", 1, "")
    progress.delivered(NOW // STEP_US * STEP_US)
    look()
    assert shown[-1]["live"] == "2026-10-03T10:07:30Z"


def test_truth_lies_beside_the_data(short):
    Progress(short, NOW)
    lines = [json.loads(line) for line in (short.state_dir / "truth.jsonl").read_text().splitlines()]
    found = incidents(42, NOW - 2 * DAY_US, us("2026-10-04"))
    assert [(line["kind"], line["target"]) for line in lines] == [(one.kind, one.target) for one in found]
    assert all(line["start"] < line["end"] <= line["gone"] for line in lines)
    slow = next(line for line in lines if line["kind"] == "llm_slowdown")
    assert slow["component"] == "orchestrator"
    assert slow["signals"] == [f"slow:{slow['target']}", "backlog"]


def test_history_and_live_data_are_one_series_each_with_the_same_values(settings):
    """The door's own decoder says what a series is; the history must say the same, to the last pair."""
    now_us = time.time_ns() // 1000 // CELL_US * CELL_US
    body, _ = Payload(platform()).at(now_us)
    with store.open_writer(settings) as writer:
        receiver = ingest.Receiver(writer, settings)
        outcome = receiver.otlp_metrics(body, "application/x-protobuf", "", ingest.Caller("token:1", False))
        assert outcome.rejected == 0, outcome.message
        outcome.future.result(30)
        receiver.close()
        assert len(writer.view.registry) == len(platform().series)
        ids = np.array(writer.register([registration(series) for series in platform().series], "load:test"))
        assert len(writer.view.registry) == len(platform().series), "no series was new"
        live = writer.view.samples(np.sort(ids), now_us, now_us)
        batch = samples(platform(), ids, now_us, now_us)
        np.testing.assert_array_equal(live.times_us, batch.column("time").cast(pa.int64()).to_numpy())
        np.testing.assert_array_equal(live.values, batch.column("value").to_numpy())
        known = writer.view.registry.get(int(ids[0]))
        _, description, scope = registration(platform().series[0])
        assert (known.description, known.scope) == (description, scope)


def test_a_bulk_load_can_be_read_back(short):
    now_us = time.time_ns() // 1000
    with store.open_writer(short) as writer:
        progress = Progress(short, now_us)
        (plan,) = progress.memory.plans
        load_history(platform(), progress, lambda: nullcontext(writer), never, detail_days=0)
        ids = np.array(writer.register([registration(series) for series in platform().series], "load:test"))
        found = writer.view.samples(np.sort(ids[:3]), plan.start_us, plan.end_us)
        times_us = np.arange(plan.start_us, plan.end_us + 1, CELL_US)
        np.testing.assert_array_equal(found.times_us.reshape(3, -1), np.tile(times_us, (3, 1)))
        np.testing.assert_array_equal(found.values.reshape(3, -1), platform().values(times_us)[np.argsort(ids[:3])])
