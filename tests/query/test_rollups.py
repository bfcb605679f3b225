"""Answers out of roll-ups: the same as from the samples, and what is left of them when these have gone."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench import config
from workbench.query import Result, instant, range_query
from workbench.query.rollups import levels
from workbench.schema import KINDS, STALE_NAN_BITS
from workbench.store import (
    Follower,
    Identity,
    Lake,
    RolledUp,
    Writer,
    apply_retention,
    open_view,
    open_writer,
    update_rollups,
)

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
NOW = 1_790_000_000 * SECOND // DAY * DAY + 10 * HOUR
STALE = np.array([STALE_NAN_BITS], np.uint64).view(np.float64)[0]
FUNCTIONS = (
    "rate", "increase", "delta", "sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "count_over_time",
    "last_over_time", "first_over_time", "present_over_time", "resets", "changes",
)  # fmt: skip
_loads = itertools.count(1)


@pytest.fixture(autouse=True, scope="module")
def few_samples_pay() -> Iterator[None]:
    """Roll-ups answer however few samples they stand for: those of the tests are not many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(levels, "_SERIES_PAY_US", 0)
        yield


def load(writer: Writer, series: Sequence[int], times: np.ndarray, values: np.ndarray) -> None:
    """Straight into the lake, as an import is."""
    columns = {
        "series": pa.array(np.asarray(series, np.int64)),
        "time": pa.array(np.asarray(times, np.int64)).cast(pa.timestamp("us", tz="UTC")),
        "type": pa.array(np.zeros(len(times), np.int8)),
        "value": pa.array(np.asarray(values, np.float64)),
    }
    schema = KINDS["samples"].schema
    arrays = [columns.get(field.name, pa.nulls(len(times), field.type)) for field in schema]
    writer.load(f"test{next(_loads)}", 1, {"samples": pa.RecordBatch.from_arrays(arrays, schema=schema)})


def register(writer: Writer, count: int, source: str = "token:1") -> list[int]:
    identities = [Identity("prometheus", "m", "counter", "", "", (), (("n", str(i)),)) for i in range(count)]
    return writer.register([(one, "", "") for one in identities], source)


class FromSamples:
    """The same view as if it had no roll-ups."""

    def __init__(self, view: Follower) -> None:
        self._view = view

    def __getattr__(self, name: str) -> object:
        return getattr(self._view, name)

    def rolled(self) -> RolledUp:
        return RolledUp(0, {})


class Counting(FromSamples):
    """Counts what is read of roll-ups."""

    def __init__(self, view: Follower) -> None:
        super().__init__(view)
        self.read: list[str] = []

    def rolled(self) -> RolledUp:
        return self._view.rolled()

    def rollups(self, name: str, *args: object) -> pa.Table:
        self.read.append(name)
        return self._view.rollups(name, *args)  # type: ignore[arg-type]


def same(found: Result, wanted: Result) -> None:
    """The same series, points and values, within what adding in another order makes of a sum."""
    assert found.labels == wanted.labels
    assert np.array_equal(found.present, wanted.present)
    here = wanted.present
    finite = wanted.values[here & np.isfinite(wanted.values)]
    scale = np.abs(finite).max(initial=1.0)
    np.testing.assert_allclose(found.values[here], wanted.values[here], rtol=1e-9, atol=1e-12 * scale)


def test_the_keeper_makes_buckets_and_a_late_sample_makes_its_own_anew(tmp_path):
    home = config.load(tmp_path, environ={})
    with open_writer(home) as writer:
        one, two = register(writer, 2)
        times = np.arange(NOW - 3 * HOUR, NOW, 10 * SECOND)
        load(writer, [one] * len(times), times, np.arange(len(times)))
        load(writer, [two] * len(times), times, np.arange(len(times)))
        lake = Lake(home)
        assert update_rollups(lake, NOW)["rollup_1h"] == 2 * 3
        assert update_rollups(lake, NOW) == {}
        end = NOW - HOUR
        before = lake.rollups("rollup_1h", np.array([one, two]), end, end, ["count", "max"])
        assert before["count"].to_pylist() == [360, 360]
        load(writer, [one], np.array([end - HOUR // 2 + 1]), np.array([1e6]))
        view = open_view(home)
        assert view.rolled().exact_us == end - HOUR // 2, "what came after is not in the buckets yet"
        lake.refresh()
        assert update_rollups(lake, NOW) == {"rollup_1m": 1, "rollup_1h": 1}
        after = lake.rollups("rollup_1h", np.array([one, two]), end, end, ["count", "max"])
        assert after["count"].to_pylist() == [361, 360]
        assert after["max"].to_pylist() == [1e6, before["max"][1].as_py()]


values = st.one_of(
    st.floats(-1e6, 1e6, width=32), st.sampled_from([0.0, 1.0, float("nan"), float("inf"), STALE]), st.integers(0, 9)
)
gaps = st.lists(st.tuples(st.integers(1, 400), values), min_size=1, max_size=120)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(series=st.lists(gaps, min_size=1, max_size=3), late=gaps, function=st.sampled_from(FUNCTIONS), data=st.data())
def test_roll_ups_answer_as_the_samples_do(series, late, function, data):
    with tempfile.TemporaryDirectory() as folder:
        home = config.load(Path(folder), environ={})
        with open_writer(home) as writer:
            ids = register(writer, len(series))
            for id_, points in zip(ids, series, strict=True):
                load_points(writer, id_, points, NOW - 6 * HOUR)
            lake = Lake(home)
            update_rollups(lake, NOW)
            load_points(writer, ids[0], late, NOW - 5 * HOUR)
            if data.draw(st.booleans(), label="rolled up again"):
                lake.refresh()
                update_rollups(lake, NOW)
            view = open_view(home)
            width, step = data.draw(st.sampled_from([("1h", HOUR), ("2h", HOUR), ("30m", 10 * MINUTE), ("7m", MINUTE)]))
            offset = data.draw(st.sampled_from([0, 0, 17 * SECOND]))
            end = NOW - offset
            expr = f"{function}(m[{width}])"
            asked = Counting(view)
            found = range_query(asked, expr, end - 5 * HOUR, end, step)
            same(found, range_query(FromSamples(view), expr, end - 5 * HOUR, end, step))
            view.close()


def load_points(writer: Writer, series: int, points: Sequence[tuple[int, float]], start_us: int) -> None:
    times = start_us + np.cumsum([gap for gap, _ in points]) * SECOND
    load(writer, [series] * len(points), times, np.array([value for _, value in points], np.float64))


@pytest.fixture(scope="module")
def aged() -> Iterator[tuple[config.Settings, list[int], Result]]:
    """Forty days of two live counters and an imported one, of which only the last has samples older than 15 days."""
    with tempfile.TemporaryDirectory() as folder:
        home = config.load(Path(folder), environ={})
        times = np.arange(NOW - 40 * DAY, NOW, 2 * MINUTE) + 7 * SECOND
        with open_writer(home) as writer:
            live = register(writer, 2)
            (imported,) = writer.register(
                [(Identity("prometheus", "m", "counter", "", "", (), (("n", "old"),)), "", "")], "import:x.csv"
            )
            for id_ in (*live, imported):
                load(writer, [id_] * len(times), times, np.arange(len(times)) * 2.0 + id_)
            writer.seal()
        yield home, [*live, imported], _before(home)


def _before(home: config.Settings) -> Result:
    view = open_view(home)
    wanted = range_query(FromSamples(view), "rate(m[1h])", NOW - 39 * DAY, NOW, HOUR)
    lake = Lake(home)
    done = apply_retention(lake, home, NOW)
    assert done.rows["samples"] == 2 * (24 * 720 + 420), "two series lost the days before the last fifteen"
    view.close()
    return wanted


def test_when_samples_have_gone_whole_windows_are_still_exact_and_it_is_said(aged):
    home, _, before = aged
    view = open_view(home)
    found = range_query(view, "rate(m[1h])", NOW - 39 * DAY, NOW, HOUR)
    same(found, before)
    assert any("samples have gone" in text for text in found.infos)
    recent = range_query(view, "rate(m[1h])", NOW - 2 * DAY, NOW, HOUR)
    assert not any("samples have gone" in text for text in recent.infos)


def test_other_windows_are_moved_to_buckets_and_series_that_have_their_samples_keep_them(aged):
    home, _, _ = aged
    view = open_view(home)
    start = NOW - 30 * DAY + 17 * SECOND
    found = range_query(view, "rate(m[5m])", start, start + 2 * DAY, 7 * MINUTE)
    wanted = range_query(FromSamples(view), "rate(m[5m])", start, start + 2 * DAY, 7 * MINUTE)
    assert [labels["n"] for labels in wanted.labels] == ["old"]
    assert [labels["n"] for labels in found.labels] == ["0", "1", "old"]
    assert np.array_equal(found.values[2], wanted.values[0])
    assert found.present.all()
    np.testing.assert_allclose(found.values[:2], 2 / 120, rtol=0.3)


def test_a_selector_shows_the_last_sample_of_each_bucket(aged):
    home, _, _ = aged
    view = open_view(home)
    at = NOW - 30 * DAY
    found = instant(view, 'm{n="0"}', at)
    (wanted,) = found.values[0]
    assert wanted == ((at - 7 * SECOND - (NOW - 40 * DAY)) // (2 * MINUTE)) * 2.0 + 1
    assert "1m" in found.infos[0]
    between = instant(view, 'm{n="0"}', at + 100 * SECOND)
    assert between.values[0] == wanted + 2.0, "the last one before, not the last of the minute that is under way"
    kept = instant(view, 'm{n="old"}', at + 100 * SECOND)
    assert kept.infos == ()
    assert len(instant(view, "count_over_time(m[1d])", NOW - DAY)) == 3
