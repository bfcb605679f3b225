"""Seats of interactive boards: a cap that holds whatever people do, a queue in order, nothing kept that nobody uses."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.serve.sessions.seats import (
    ASK_WITHIN_SECONDS,
    CONNECT_WITHIN_SECONDS,
    RECONNECT_WITHIN_SECONDS,
    START_WITHIN_SECONDS,
    Seat,
    Seats,
)


def seats(capacity: int = 2, idle_seconds: float = 100) -> Seats:
    numbers = count(1)
    return Seats(capacity, idle_seconds, make_token=lambda: f"t{next(numbers)}")


def running(table: Seats, person: str, now: float, kernel: str) -> Seat:
    seat = table.ask(person, "board", now)
    assert isinstance(seat, Seat)
    table.start(seat, kernel, now)
    table.hold(seat, now, opened=True)
    return seat


def test_who_comes_beyond_the_cap_is_told_his_place_and_follows_when_a_session_ends():
    table = seats()
    running(table, "a", 0, "ka")
    running(table, "b", 0, "kb")
    assert table.ask("c", "board", 1) == 1
    assert table.ask("d", "board", 1) == 2
    assert table.ask("c", "board", 2) == 1, "asking again keeps the place"
    table.end("ka")
    assert table.ask("d", "board", 3) == 1, "he may not overtake"
    assert isinstance(table.ask("c", "board", 3), Seat)


def test_a_place_is_lost_when_its_page_is_gone():
    table = seats(1)
    running(table, "a", 0, "ka")
    assert table.ask("b", "board", 1) == 1
    assert table.ask("c", "board", 2 + ASK_WITHIN_SECONDS) == 1


def test_a_person_has_one_session_and_the_newer_counts():
    table = seats()
    running(table, "a", 0, "first")
    other = table.ask("a", "another", 1)
    assert isinstance(other, Seat)
    assert table.over == ["first"]
    assert list(table.taken) == ["a"]


def test_a_reload_ends_the_kernel_that_ran_before():
    table = seats()
    seat = running(table, "a", 0, "first")
    table.start(seat, "second", 1)
    assert table.over == ["first"]
    assert table.holder("second") is seat
    assert table.holder("first") is None


@pytest.mark.parametrize("kernel", ["", "k"])
def test_a_seat_that_nobody_takes_or_opens_goes_to_the_next(kernel: str):
    table = seats(1)
    seat = table.ask("a", "board", 0)
    assert isinstance(seat, Seat)
    if kernel:
        table.start(seat, kernel, 0)
    within = CONNECT_WITHIN_SECONDS if kernel else START_WITHIN_SECONDS
    table.ask("b", "board", within - 1)
    assert list(table.taken) == ["a"]
    assert isinstance(table.ask("b", "board", within + 1), Seat)
    assert table.over == ([kernel] if kernel else [])


def test_a_session_outlives_its_page_for_a_reload_only():
    table = seats(1)
    seat = running(table, "a", 0, "k")
    table.release(seat, 50)
    table.tidy(50 + RECONNECT_WITHIN_SECONDS - 1)
    assert table.holder("k") is seat
    table.tidy(50 + RECONNECT_WITHIN_SECONDS + 1)
    assert table.over == ["k"]


def test_a_session_that_is_not_used_ends_although_its_page_is_open():
    table = seats(1, idle_seconds=100)
    seat = running(table, "a", 0, "k")
    seat.used = 90
    table.tidy(150)
    assert not table.over
    table.tidy(191)
    assert table.over == ["k"]


def test_a_kernel_that_started_too_late_is_ended():
    table = seats(1)
    seat = table.ask("a", "board", 0)
    assert isinstance(seat, Seat)
    table.tidy(START_WITHIN_SECONDS + 1)
    table.start(seat, "late", START_WITHIN_SECONDS + 2)
    assert table.over == ["late"]


@pytest.mark.parametrize(("person", "board", "token"), [("b", "board", "t1"), ("a", "other", "t1"), ("a", "board", "")])
def test_a_seat_is_of_one_person_on_one_board(person: str, board: str, token: str):
    table = seats()
    table.ask("a", "board", 0)
    assert table.find("a", "board", "t1") is not None
    assert table.find(person, board, token) is None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("ask", "start", "open", "close", "end", "wait")),
        st.sampled_from("abcdef"),
        st.floats(0, 40),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_people_do_no_more_kernels_live_than_the_cap_allows(steps):
    """A kernel lives from `start` until it stands in `over` or ended by itself."""
    table, now, numbers = seats(2), 0.0, count(1)
    living: set[str] = set()
    for step, person, seconds in steps:
        now += seconds if step == "wait" else 0.01
        seat = table.taken.get(person)
        if step == "ask":
            table.ask(person, "board", now)
        elif step == "start" and seat is not None:
            kernel = f"k{next(numbers)}"
            living.add(kernel)
            table.start(seat, kernel, now)
        elif step == "open" and seat is not None and seat.kernel:
            table.hold(seat, now, opened=True)
        elif step == "close" and seat is not None and seat.connections:
            table.release(seat, now)
        elif step == "end" and seat is not None and seat.kernel:
            living.discard(seat.kernel)
            table.end(seat.kernel)
        table.tidy(now)
        living -= set(table.over)
        assert len(table.taken) <= 2
        assert living == {seat.kernel for seat in table.taken.values() if seat.kernel}
        assert not set(table.queue) & set(table.taken)
