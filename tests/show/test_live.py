"""The event stream: one evaluation and the same bytes for all, nothing when nobody watches, no waiting for the slow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.show.stage import Stage
from workbench.errors import Busy
from workbench.show import RealTimeUpdater, live, load_dashboard
from workbench.show.context import SHIPPED_DASHBOARDS
from workbench.show.filters import Filters
from workbench.show.snapshot import Evaluator

pytestmark = pytest.mark.anyio
HOUR = Filters(3600)


@pytest.fixture
def moving() -> Stage:
    return Stage()


@pytest.fixture
def updater() -> RealTimeUpdater:
    return RealTimeUpdater()


@pytest.fixture
def evaluator(moving: Stage) -> Evaluator:
    return Evaluator(moving.context(), load_dashboard(SHIPPED_DASHBOARDS / "overview.yaml"))


async def ticks(events: AsyncIterator[bytes], count: int) -> list[bytes]:
    found: list[bytes] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            event = await anext(events)
            if b"event: tick" in event:
                found.append(event)
    return found


def producers() -> set[asyncio.Task[object]]:
    return {task for task in asyncio.all_tasks() if "_produce" in repr(task)}


def payload(event: bytes) -> dict[str, object]:
    return json.loads(event.split(b"data: ", 1)[1])


async def test_all_viewers_get_the_same_bytes_from_one_evaluation(
    moving: Stage, updater: RealTimeUpdater, evaluator: Evaluator
) -> None:
    streams = [updater.stream(evaluator, HOUR) for _ in range(20)]
    received = await asyncio.gather(*(ticks(stream, 3) for stream in streams))
    assert updater.viewers == 20
    first = received[0]
    assert len(set(first)) == 3
    # Somebody who came a moment later starts with a later tick, but no tick exists in two forms.
    assert len({event for events in received for event in events}) <= 4
    assert updater.evaluations <= 5
    tick = payload(first[0])
    charts = tick["tiles"]["host_cpu"]["values"]
    snapshot = evaluator.snapshot(HOUR, moving.context().now_us())
    assert set(charts) == {series["key"] for series in snapshot["tiles"]["host_cpu"]["series"]}
    for stream in streams:
        await stream.aclose()


async def test_nothing_is_evaluated_when_nobody_watches(
    moving: Stage, updater: RealTimeUpdater, evaluator: Evaluator
) -> None:
    assert moving.asked == []
    stream = updater.stream(evaluator, HOUR)
    await ticks(stream, 1)
    await stream.aclose()
    assert updater.viewers == 0
    async with asyncio.timeout(10):
        while producers():
            await asyncio.wait(producers())
    # A producer is the only one who asks, and there is one again only when somebody comes.
    again = updater.stream(evaluator, HOUR)
    await ticks(again, 1)
    assert len(producers()) == 1
    await again.aclose()


async def test_equal_expressions_are_evaluated_once_a_tick(moving: Stage, evaluator: Evaluator) -> None:
    evaluator.tick(HOUR, moving.context().now_us())
    assert len(moving.asked) == len(set(moving.asked))


async def test_another_choice_has_its_own_numbers(updater: RealTimeUpdater, evaluator: Evaluator) -> None:
    hour, month = updater.stream(evaluator, HOUR), updater.stream(evaluator, Filters(30 * 86400))
    of_hour, of_month = payload((await ticks(hour, 1))[0]), payload((await ticks(month, 1))[0])
    assert "host_cpu" in of_hour["tiles"]
    # Charts of a month do not take every sample; single numbers do.
    assert "host_cpu" not in of_month["tiles"]
    assert "host_cpu_now" in of_month["tiles"]
    await hour.aclose()
    await month.aclose()


async def test_who_comes_back_is_told_of_the_gap(updater: RealTimeUpdater, evaluator: Evaluator) -> None:
    watcher = updater.stream(evaluator, HOUR)
    (tick,) = await ticks(watcher, 1)
    number = tick.split(b"\n", 1)[0].removeprefix(b"id: ").decode()
    late = updater.stream(evaluator, HOUR, "another-run-7")
    assert [await anext(late), await anext(late)][1].startswith(b"event: gap")
    in_time = updater.stream(evaluator, HOUR, number)
    second = [await anext(in_time), await anext(in_time)][1]
    assert second.startswith((b"id: " + number.encode(), b"event: gap"))
    for stream in (watcher, late, in_time):
        await stream.aclose()


async def test_a_viewer_who_does_not_read_is_dropped_and_the_others_are_not(
    updater: RealTimeUpdater, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "QUEUE_EVENTS", 2)
    monkeypatch.setattr(live, "INTERVAL_SECONDS", 0.01)
    before = live.DROPPED._value.get()
    slow = updater.stream(evaluator, HOUR)
    await anext(slow)
    quick = updater.stream(evaluator, HOUR)
    assert len(await ticks(quick, 5)) == 5
    rest = [event async for event in slow]
    assert len(rest) <= 2
    assert live.DROPPED._value.get() == before + 1
    assert updater.viewers == 1
    await quick.aclose()


async def test_a_silent_stream_is_kept_alive(
    moving: Stage, updater: RealTimeUpdater, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.01)
    stream = updater.stream(evaluator, HOUR)
    async with asyncio.timeout(20):
        while await anext(stream) != live.HEARTBEAT:
            pass
    await stream.aclose()


async def test_a_failed_evaluation_does_not_end_the_stream(
    updater: RealTimeUpdater, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick, failures = evaluator.tick, iter([RuntimeError("once")])

    def sometimes(filters: Filters, now_us: int) -> dict[str, object]:
        for failure in failures:
            raise failure
        return tick(filters, now_us)

    monkeypatch.setattr(evaluator, "tick", sometimes)
    stream = updater.stream(evaluator, HOUR)
    assert await ticks(stream, 1)
    await stream.aclose()


async def test_too_many_different_pages_are_refused(
    updater: RealTimeUpdater, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "CHANNELS_MAX", 1)
    first = updater.stream(evaluator, HOUR)
    await anext(first)
    with pytest.raises(Busy):
        await anext(updater.stream(evaluator, Filters(60)))
    same = updater.stream(evaluator, HOUR)
    await anext(same)
    await first.aclose()
    await same.aclose()
    again = updater.stream(evaluator, Filters(60))
    await anext(again)
    await again.aclose()


async def test_closing_stops_every_producer(updater: RealTimeUpdater, evaluator: Evaluator) -> None:
    stream = updater.stream(evaluator, HOUR)
    await ticks(stream, 1)
    await updater.close()
    assert updater.viewers == 0
    await stream.aclose()
