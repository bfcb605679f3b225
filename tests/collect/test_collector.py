"""The round: everything that is due, once per second, whatever fails."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests.collect.receiver import OtlpReceiver, points
from tests.collect.test_delivery import ScriptedDoor
from workbench.collect import Delivery, HttpDoor, Instrument, MetricsCollector, Observation, collector

GAUGE = Instrument("test.number", "1", "gauge", "")


class Counting:
    """A collector whose value is how often it was asked."""

    def __init__(self) -> None:
        self.rounds = 0

    def collect(self, time_ns: int) -> list[Observation]:
        self.rounds += 1
        return [Observation((("service.name", "test"),), 0, time_ns, [(GAUGE, (), self.rounds)])]


class Broken:
    """A collector that always fails."""

    def collect(self, time_ns: int) -> list[Observation]:
        raise RuntimeError("no such luck")


def test_rounds_are_sent_until_it_is_told_to_stop(receiver: OtlpReceiver):
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) == 3

    door = HttpDoor(lambda: (receiver.url, ""))
    MetricsCollector([Broken(), Counting()], Delivery(door)).run(wait)
    receiver.wait(lambda: len([p for p in points(receiver.requests) if p[1] == "test.number"]) == 3)
    assert [p[4] for p in points(receiver.requests) if p[1] == "test.number"] == [1, 2, 3]
    assert all(0 < seconds <= 1.1 for seconds in waits)


@pytest.mark.parametrize(("now", "left"), [(100.0, 1.0), (100.25, 0.75), (100.95, 1.05), (100.999, 1.001)])
def test_rounds_begin_on_whole_seconds_and_no_second_has_two(monkeypatch, now, left):
    clock = SimpleNamespace(time=lambda: now, time_ns=lambda: int(now * 1e9))
    monkeypatch.setattr(collector, "time", clock)
    waits: list[float] = []
    delivery = Delivery(ScriptedDoor())
    MetricsCollector([], delivery).run(lambda seconds: bool(waits.append(seconds)) or True)
    assert waits == [pytest.approx(left)]


def test_a_clock_that_is_set_moves_the_times_and_nothing_else(monkeypatch):
    times = iter([1_000.0, 500.0, 90_000.0])
    door = ScriptedDoor()
    one = MetricsCollector([Counting()], Delivery(door))
    found = []
    for now in times:
        monkeypatch.setattr(
            collector, "time", SimpleNamespace(time=lambda now=now: now, time_ns=lambda now=now: int(now * 1e9))
        )
        found += [observation.time_ns for observation in one.collect() if observation.points]
    assert found == [1_000 * 10**9, 500 * 10**9, 90_000 * 10**9]


def loaded(statement: str) -> set[str]:
    """Modules that a statement loads in a fresh interpreter."""
    script = f"import sys; {statement}; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


def test_importing_the_room_loads_neither_psutil_nor_protobuf():
    assert not loaded("import workbench.collect") & {"psutil", "google.protobuf", "opentelemetry", "numpy"}


def test_the_agent_needs_no_sdk():
    assert not loaded("import workbench.collect.__main__") & {"opentelemetry.sdk", "requests", "numpy", "pyarrow"}


def test_every_name_of_the_face_leads_somewhere():
    import workbench.collect as room

    assert all(getattr(room, name).__module__.startswith("workbench.collect.") for name in room.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        room.Nonsense  # noqa: B018
