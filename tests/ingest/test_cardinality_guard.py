"""A label without end never takes the doors down: what is known goes on, what is new is refused, counted and named."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import pytest
from prometheus_client import REGISTRY

from tests.ingest.conftest import NOBODY, TOKEN
from tests.ingest.messages import now_ms, snap, write_request
from workbench.config import Settings
from workbench.ingest import Caller, Receiver
from workbench.ingest.receiver import PROTOBUF
from workbench.store import Identity

OTHER = Caller("token:2", False)
REQUEST, LABELS = (50_000, 1_000_000) if os.environ.get("SOAK") else (20_000, 100_000)


def write(receiver, series, caller=TOKEN):
    return receiver.remote_write(snap(write_request(series)), PROTOBUF, "snappy", caller)


def labelled(name, values):
    return [({"__name__": name, "id": str(value)}, [(now_ms(), 1.0)]) for value in values]


@pytest.fixture
def tight(writer, settings: Settings) -> Iterator[Receiver]:
    limits = replace(settings.ingest, max_metric_series=5, max_source_series=8)
    made = Receiver(writer, replace(settings, ingest=limits))
    yield made
    made.close()


def refused(reason: str) -> float:
    return REGISTRY.get_sample_value("workbench_ingest_series_refused_total", {"reason": reason}) or 0.0


def test_a_metric_has_its_limit_and_known_series_go_on(tight, writer):
    before = refused("metric_limit")
    outcome = write(tight, labelled("hits", range(7)))
    assert (outcome.accepted, outcome.rejected) == (5, 2)
    assert "ingest.max_metric_series" in outcome.message
    assert "hits" in outcome.message
    again = write(tight, labelled("hits", range(7)))
    assert (again.accepted, again.rejected) == (5, 2)
    assert write(tight, labelled("others", range(3))).accepted == 3
    dead = writer.rows("dead_letter")
    assert [(row["reason"], row["count"], row["where"]) for row in dead] == [("metric_limit", 2, "hits")] * 2
    assert refused("metric_limit") - before == 4
    (told,) = tight.refused_series
    assert (told["metric"], told["source"], told["count"], told["example"]) == ("hits", "token:1", 4, "id=5")


def test_a_sender_has_its_limit_and_others_theirs(tight):
    names = [({"__name__": f"m{number}"}, [(now_ms(), 1.0)]) for number in range(12)]
    assert write(tight, names).rejected == 4
    assert write(tight, names[:8]).rejected == 0
    assert write(tight, names[8:], OTHER).accepted == 4
    assert [row["setting"] for row in tight.refused_series] == ["ingest.max_source_series"] * 4


def test_the_limits_hold_within_one_request_and_over_several_slices(writer, settings, monkeypatch):
    monkeypatch.setattr("workbench.ingest.series_book.SLICE_GROUPS", 3)
    receiver = Receiver(writer, replace(settings, ingest=replace(settings.ingest, max_metric_series=10)))
    outcome = write(receiver, labelled("a", range(12)) + labelled("b", range(9)))
    assert (outcome.accepted, outcome.rejected) == (19, 2)
    mixed = labelled("b", range(11)) + labelled("a", range(3))
    assert write(receiver, mixed).accepted == 13
    # Each value lies at its own series, whether that was known, or found in whichever slice.
    assert {name: len(points) for name, points in writer.found().items()} == {
        **{f"a{{id={n}}}": 2 if n < 3 else 1 for n in range(10)},
        **{f"b{{id={n}}}": 2 if n < 9 else 1 for n in range(10)},
    }
    receiver.close()


def test_names_without_end_are_forgotten_again(tight):
    write(tight, [({"__name__": f"m{number}"}, [(now_ms(), 1.0)]) for number in range(1000)])
    assert len(tight.refused_series) == 200


def flood(start: int) -> bytes:
    """A request of new labels, `start` and after. One is built, the others by writing other digits into it."""
    return snap(_template().replace(b"###", b"%03d" % (start // REQUEST)))


@lru_cache
def _template() -> bytes:
    return write_request(labelled("hostile", (f"###{number:05d}" for number in range(REQUEST))))


def test_labels_without_end_leave_the_door_open_to_others(writer, settings):
    limits = replace(settings.ingest, max_metric_series=REQUEST // 2)
    receiver = Receiver(writer, replace(settings, ingest=limits))
    good = snap(write_request([({"__name__": "good"}, [(now_ms(), 1.0)])]))
    receiver.remote_write(good, PROTOBUF, "snappy", OTHER)
    done, waits = threading.Event(), []

    def other() -> None:
        while not done.is_set():
            began = time.monotonic()
            assert receiver.remote_write(good, PROTOBUF, "snappy", OTHER).accepted == 1
            waits.append(time.monotonic() - began)
            done.wait(0.005)

    beside = threading.Thread(target=other)
    beside.start()
    accepted = rejected = 0
    for start in range(0, LABELS, REQUEST):
        outcome = receiver.remote_write(flood(start), PROTOBUF, "snappy", TOKEN)
        accepted, rejected = accepted + outcome.accepted, rejected + outcome.rejected
    done.set()
    beside.join()
    assert (accepted, rejected) == (REQUEST // 2, LABELS - REQUEST // 2)
    assert len(writer.view.registry) == REQUEST // 2 + 1
    assert len(waits) > LABELS // REQUEST  # they took turns: no request of the flood held the lock to its end
    assert receiver.remote_write(flood(0), PROTOBUF, "snappy", TOKEN).accepted == REQUEST // 2
    assert write(receiver, labelled("fine", range(100)), NOBODY).accepted == 100
    print(f"longest wait {max(waits):.3f} s, median {sorted(waits)[len(waits) // 2]:.4f} s of {len(waits)}")
    receiver.close()


def test_the_registry_counts_by_name_and_by_who_was_first(writer):
    registry = writer.view.registry
    one = Identity("prometheus", "m", "gauge", "", "", (), (("a", "1"),))
    writer.register([(one, "", "")], "anonymous")
    assert (registry.of_name("m"), registry.of_source("anonymous"), registry.anonymous) == (1, 1, 1)
    writer.register([(one, "", "")], "token:1")  # taken over
    assert (registry.of_name("m"), registry.of_source("anonymous"), registry.of_source("token:1")) == (1, 0, 1)
