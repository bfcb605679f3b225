"""The numbers of a page on the real store and the real evaluator."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from workbench.config import Settings
from workbench.query import instant, range_query
from workbench.schema import KINDS
from workbench.show import ShowContext, load_dashboard
from workbench.show.context import SHIPPED_DASHBOARDS
from workbench.show.filters import Filters
from workbench.show.snapshot import Evaluator
from workbench.store import Identity, Writer, open_writer

NOW_US = 1_795_507_207_250_000
HOST = (("host.name", "alpha"), ("service.instance.id", "alpha"), ("service.name", "host"))
GATEWAY = (("deployment.environment.name", "simulated"), ("service.name", "api_gateway"))


@pytest.fixture
def writer(settings: Settings) -> Iterator[Writer]:
    found = open_writer(settings)
    yield found
    found.close()


def write(writer: Writer, identity: Identity, times_us: np.ndarray, values: np.ndarray) -> None:
    (number,) = writer.register([(identity, "", "")], "test")
    schema = KINDS["samples"].schema
    given = {
        "series": pa.array(np.full(len(times_us), number)),
        "time": pa.array(times_us.astype(np.int64)),
        "type": pa.array(np.zeros(len(times_us), np.int8)),
        "value": pa.array(values),
    }
    columns = [given[f.name].cast(f.type) if f.name in given else pa.nulls(len(times_us), f.type) for f in schema]
    writer.append({"samples": pa.RecordBatch.from_arrays(columns, schema=schema)}).result(30)


@pytest.fixture
def evaluator(writer: Writer) -> Evaluator:
    """CPU of this host each second, 75 % idle; accuracy of one domain of a simulated platform, half a minute old."""
    seconds = NOW_US - np.arange(900, -1, -1) * 1_000_000 - 250_000
    for mode, share in (("idle", 0.75), ("user", 0.2), ("system", 0.05)):
        cpu = Identity("otel", "system.cpu.utilization", "gauge", "1", "", HOST, (("cpu.mode", mode),))
        write(writer, cpu, seconds, np.full(len(seconds), share))
    quality = Identity("otel", "synth.quality.accuracy", "gauge", "1", "", GATEWAY, (("synth.domain", "arts"),))
    write(writer, quality, np.array([NOW_US - 30_000_000]), np.array([0.5]))
    view = writer.view
    context = ShowContext(
        view=view,
        evaluate_instant=lambda expr, at: instant(view, expr, at),
        evaluate_range=lambda expr, start, end, step: range_query(view, expr, start, end, step),
    )
    return Evaluator(context, load_dashboard(SHIPPED_DASHBOARDS / "overview.yaml"))


def test_a_page_shows_what_was_written(evaluator: Evaluator) -> None:
    snapshot = evaluator.snapshot(Filters(900), NOW_US)
    tiles = snapshot["tiles"]
    assert {name: tile["error"] for name, tile in tiles.items() if tile["error"]} == {}
    assert tiles["host_cpu_now"]["series"][0]["last"] == 0.25
    chart = tiles["host_cpu"]["series"]
    assert [series["name"] for series in chart] == ["system", "user"]
    assert set(chart[1]["values"]) == {0.2}
    assert tiles["requests"]["series"] == []
    assert tiles["requests"]["summary"] == "No data in this span of time."


def test_ages_and_marks_come_from_the_series_behind_a_tile(evaluator: Evaluator) -> None:
    tiles = evaluator.snapshot(Filters(900), NOW_US)["tiles"]
    assert (tiles["host_cpu"]["age"], tiles["host_cpu"]["simulated"]) == (250_000, False)
    assert (tiles["accuracy"]["age"], tiles["accuracy"]["simulated"]) == (30_000_000, True)
    assert (tiles["requests"]["age"], tiles["requests"]["simulated"]) == (None, False)


def test_filters_reach_the_store(evaluator: Evaluator) -> None:
    arts = Filters(900, values=(("domain", ("arts",)),))
    others = Filters(900, values=(("domain", ("reading", 'a"b')),))
    assert evaluator.snapshot(arts, NOW_US)["tiles"]["accuracy_now"]["series"][0]["last"] == 0.5
    assert evaluator.snapshot(others, NOW_US)["tiles"]["accuracy_now"]["series"] == []


def test_a_tick_carries_the_newest_values_under_the_keys_of_the_snapshot(writer: Writer, evaluator: Evaluator) -> None:
    snapshot = evaluator.snapshot(Filters(900), NOW_US)
    user = Identity("otel", "system.cpu.utilization", "gauge", "1", "", HOST, (("cpu.mode", "user"),))
    later = NOW_US + 1_000_000
    write(writer, user, np.array([later]), np.array([0.8]))
    tick = evaluator.tick(Filters(900), later)
    keys = {series["name"]: series["key"] for series in snapshot["tiles"]["host_cpu"]["series"]}
    values = tick["tiles"]["host_cpu"]["values"]
    assert values[keys["user"]] > 0.2
    assert values[keys["system"]] == 0.05
    assert tick["age"] == 0


def test_a_new_series_is_found_behind_an_expression_that_was_asked_before(writer: Writer, evaluator: Evaluator) -> None:
    assert evaluator.snapshot(Filters(900), NOW_US)["tiles"]["users_now"]["age"] is None
    users = Identity("otel", "synth.users.active", "gauge", "{user}", "", GATEWAY, (("synth.window", "1d"),))
    write(writer, users, np.array([NOW_US]), np.array([620.0]))
    tile = evaluator.snapshot(Filters(900), NOW_US + 3_000_000)["tiles"]["users_now"]
    assert (tile["series"][0]["last"], tile["age"], tile["simulated"]) == (620.0, 3_000_000, True)
