"""Native histograms in the store: written as rows, read as arrays, from log and lake as one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tests.store.conftest import NOW_US
from workbench.config import Settings
from workbench.schema import KINDS
from workbench.store import Identity, Writer, histograms_from_tables, histograms_to_tables, open_view
from workbench.store.histograms import KEY_BIAS, HistogramSamples, concatenate_histograms, from_column

KIND = KINDS["samples"].schema.field("histogram").type


def value(count: float, **more: object) -> dict[str, object]:
    blank = {"schema": 0, "reset_hint": 0, "sum": 1.0, "zero_threshold": 0.0, "zero_count": 0.0, "custom_bounds": []}
    lists = {f"{side}_{part}": [] for side in ("positive", "negative") for part in ("indexes", "counts")}
    return {**blank, **lists, "count": count, **more}


def batch(series: int, rows: list[tuple[int, dict[str, object] | None]]) -> dict[str, pa.RecordBatch]:
    found = [{"series": series, "time": time, "type": 1, "stale": one is None, "histogram": one} for time, one in rows]
    return {"samples": pa.RecordBatch.from_pylist(found, schema=KINDS["samples"].schema)}


def native(name: str) -> Identity:
    return Identity("prometheus", name, "native_histogram", "", "", (), ())


def counts(found: HistogramSamples) -> list[tuple[int, float]]:
    return list(zip(found.times_us.tolist(), found.histograms.counts.tolist(), strict=True))


def test_log_and_lake_are_read_as_one_and_the_newest_row_wins(writer: Writer, settings: Settings) -> None:
    one, other = writer.register([(native("a"), "", ""), (native("b"), "", "")], source="test")
    writer.append(batch(one, [(NOW_US, value(1)), (NOW_US + 1, value(2))])).result()
    version = writer.seal()
    writer.append(batch(one, [(NOW_US + 1, value(5)), (NOW_US + 2, None)])).result()
    writer.append(batch(other, [(NOW_US, value(9))])).result()
    for view in (writer.view, open_view(settings)):
        found = view.histograms(np.array([one]), NOW_US, NOW_US + 9)
        assert counts(found) == [(NOW_US, 1.0), (NOW_US + 1, 5.0), (NOW_US + 2, 0.0)]
        assert found.stale.tolist() == [False, False, True]
        assert counts(view.histograms(np.array([one]), NOW_US, NOW_US, version=version)) == [(NOW_US, 1.0)]
        both = view.histograms(np.array([other, one]), NOW_US, NOW_US)
        assert (both.ids.tolist(), both.offsets.tolist()) == ([one, other], [0, 1, 2])
    writer.seal()
    assert counts(writer.view.histograms(np.array([one]), NOW_US + 1, NOW_US + 1)) == [(NOW_US + 1, 5.0)]


SIDES = st.dictionaries(st.integers(-1000, 1000), st.floats(0.5, 100), max_size=6).map(
    lambda side: sorted(side.items())
)
VALUES = st.lists(
    st.none()
    | st.builds(
        lambda up, down, bounds: value(
            1.0,
            positive_indexes=[i for i, _ in up],
            positive_counts=[c for _, c in up],
            negative_indexes=[i for i, _ in down],
            negative_counts=[c for _, c in down],
            custom_bounds=bounds,
        ),
        SIDES,
        SIDES,
        st.lists(st.floats(-10, 10), max_size=3, unique=True).map(sorted),
    ),
    min_size=1,
    max_size=8,
)


@given(VALUES)
def test_buckets_lie_in_the_order_of_their_values(values: list[dict[str, object] | None]) -> None:
    held = from_column(pa.chunked_array([pa.array(values, KIND)]))
    for place, one in enumerate(values):
        part = slice(held.bucket_offsets[place], held.bucket_offsets[place + 1])
        keys = held.keys[part].tolist()
        assert keys == sorted(keys)
        up = {key - KEY_BIAS: count for key, count in zip(keys, held.buckets[part], strict=True) if key > 0}
        down = {-key - KEY_BIAS: count for key, count in zip(keys, held.buckets[part], strict=True) if key < 0}
        given_up = dict(zip(one["positive_indexes"], one["positive_counts"], strict=True)) if one else {}
        given_down = dict(zip(one["negative_indexes"], one["negative_counts"], strict=True)) if one else {}
        assert (up, down) == (given_up, given_down)
        bounds = held.bounds[held.bound_offsets[place] : held.bound_offsets[place + 1]].tolist()
        assert bounds == (one["custom_bounds"] if one else [])


@given(VALUES)
def test_what_is_sent_elsewhere_taken_or_joined_is_the_same(values: list[dict[str, object] | None]) -> None:
    held = from_column(pa.chunked_array([pa.array(values, KIND)]))
    n = held.size
    none = np.zeros(n, np.int64)
    sent = HistogramSamples(np.array([7]), np.array([0, n]), np.arange(n), none.astype(bool), none, held)
    again = histograms_from_tables(np.array([7]), histograms_to_tables(sent)).histograms
    places = np.arange(n)
    halves = concatenate_histograms([held.take(places[: n // 2]), held.take(places[n // 2 :])])
    for other in (again, halves, held.take(places[::-1]).take(places[::-1])):
        for mine, theirs in zip(held, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)
