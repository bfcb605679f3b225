"""The head and its kernels against a dictionary that does the same slowly."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.store import samples
from workbench.store.head import Head, Snapshot
from workbench.store.samples import NO_LIMIT_US, Run, merge_runs, sort_run

ROWS = st.lists(st.tuples(st.sampled_from([1, 2, 3, 900_000]), st.integers(0, 12), st.floats(-9, 9)), max_size=30)


def columns(rows: list[tuple[int, int, float]], first: int) -> tuple[np.ndarray, ...]:
    series, times, values = ([row[i] for row in rows] for i in range(3))
    made = np.array(series, np.int64), np.array(times, np.int64), np.array(values, np.float64)
    return *made, np.arange(first, first + len(rows))


def as_dict(run: Run) -> dict[tuple[int, int], float]:
    ids = np.repeat(run.ids, np.diff(run.offsets))
    keys = list(zip(ids.tolist(), run.times.tolist(), strict=True))
    assert keys == sorted(set(keys))
    return dict(zip(keys, run.values.tolist(), strict=True))


def newest(rows: list[tuple[int, int, float]]) -> dict[tuple[int, int], float]:
    return {(series, time): value for series, time, value in rows}


@given(ROWS, st.randoms())
def test_sort_keeps_the_highest_sequence_in_any_order(rows: list, random: object) -> None:
    series, times, values, sequences = columns(rows, 0)
    order = np.arange(len(rows))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert as_dict(sort_run(series[order], times[order], values[order], sequences[order])) == newest(rows)


@given(ROWS, ROWS)
def test_merge_does_not_mind_which_side_is_newer(older: list, later: list) -> None:
    left, right = sort_run(*columns(older, 0)), sort_run(*columns(later, len(older)))
    assert as_dict(merge_runs(left, right)) == newest(older + later)
    assert as_dict(merge_runs(right, left)) == newest(older + later)


@given(st.lists(ROWS, max_size=8), st.integers(0, 12), st.integers(0, 12), st.sets(st.sampled_from([1, 3, 7, 900_000])))
def test_head_answers_like_a_dictionary(batches: list, start: int, end: int, wanted: set[int]) -> None:
    head = Head()
    rows: list = []
    for batch in batches:
        head.add(*columns(batch, len(rows)))
        rows += batch
        head.snapshot()
    ids = np.array(sorted(wanted), np.int64)
    run = head.snapshot().samples(ids, start, end)
    assert run.ids.tolist() == sorted(wanted)
    assert as_dict(run) == {k: v for k, v in newest(rows).items() if k[0] in wanted and start <= k[1] <= end}
    assert head.latest_us == max((row[1] for row in rows), default=0)


@given(st.lists(ROWS, min_size=1, max_size=6), st.integers(0, 13), st.integers(-1, 100), st.integers(1, 40))
def test_prune_keeps_what_is_recent_or_not_sealed(batches: list, bound: int, sealed: int, most: int) -> None:
    head = Head()
    rows: list = []
    for batch in batches:
        head.add(*columns(batch, len(rows)))
        rows += batch
    head.now_complete_from(0)
    head.prune(bound, sealed, most)
    kept = head.snapshot()
    held = as_dict(kept.samples(np.array([1, 2, 3, 900_000]), 0, 99))
    assert kept.complete_from_us >= bound
    assert held.items() <= newest(rows).items()
    last = {(series, time): at for at, (series, time, _) in enumerate(rows)}
    for key, value in newest(rows).items():
        if key[1] >= kept.complete_from_us or last[key] > sealed:
            assert held[key] == value


def test_large_runs_are_merged_by_prune_while_queries_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.store.head._LARGE_ROWS", 10)
    head = Head()
    for at in range(0, 200, 10):
        head.add(*columns([(1, at + i, 1.0) for i in range(10)], at))
        head.snapshot()
    assert len(head.snapshot().runs) == 20
    entered, gate = threading.Event(), threading.Event()
    drop = samples.drop_before

    def slow(*args: object) -> Run:
        entered.set()
        assert gate.wait(30)
        return drop(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("workbench.store.head.drop_before", slow)
    pruning = threading.Thread(target=head.prune, args=(50, 2**62, 1000))
    pruning.start()
    assert entered.wait(30)
    head.add(*columns([(1, 200, 1.0)], 200))
    now = head.snapshot()
    assert now.complete_from_us == NO_LIMIT_US
    assert now.samples(np.array([1]), 50, 999).rows == 151
    gate.set()
    pruning.join()
    assert len(head.snapshot().runs) <= 6
    assert head.snapshot().samples(np.array([1]), 0, 999).rows == 151


def test_filling_never_claims_what_was_pruned() -> None:
    head = Head()
    head.add(*columns([(1, 5, 1.0)], 0))
    head.prune(40, 2**62, 1000)
    head.now_complete_from(10)
    assert head.snapshot().complete_from_us == 40


def test_runs_stay_few() -> None:
    head = Head()
    for at in range(300):
        head.add(*columns([(1, at, 0.0)], at))
        kept: Snapshot = head.snapshot()
    assert len(kept.runs) <= 9
    assert sum(run.rows for run in kept.runs) == 300


def test_queries_see_all_while_another_thread_adds() -> None:
    head = Head()
    count, ready = 400, threading.Event()

    def add() -> None:
        ready.wait()
        for at in range(count):
            head.add(*columns([(1, at, 1.0)], at))

    adder = threading.Thread(target=add)
    adder.start()
    ready.set()
    seen = 0
    while seen < count:
        now = head.snapshot().samples(np.array([1]), 0, count).rows
        assert now >= seen
        seen = now
    adder.join()
