"""Who may have an interactive session now, and who waits: a cap on kernels, decided without clock or process.

One seat a person: opening another board gives up the first. Those who wait keep their place as long as their page asks.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

ASK_WITHIN_SECONDS = 10.0
"""A place in the queue is lost when its page was not heard of for so long; the page asks every second or two."""
START_WITHIN_SECONDS = 30.0
"""A seat that is given must be taken within this time: whoever closed the page meanwhile blocks nobody."""
CONNECT_WITHIN_SECONDS = 60.0
"""A session whose page does not connect is no reader: a program that fetched the page, or a browser that left."""
RECONNECT_WITHIN_SECONDS = 15.0
"""How long a session outlives its last connection: a reload, or a train's tunnel."""


@dataclass
class Seat:
    """A person's right to one session of one board. Times are seconds of the caller's clock."""

    person: str
    board: str
    token: str
    since: float
    kernel: str = ""
    connections: int = 0
    """Requests and connections that hold the session now; the one that renders its page is the first."""
    opened: bool = False
    """Whether its page has ever connected to the kernel."""
    used: float = 0.0
    """When somebody last did something in it."""


@dataclass
class Seats:
    """All seats and the queue. Every method is told the time; `over` lists the kernels that are to be ended."""

    capacity: int
    idle_seconds: float
    make_token: Callable[[], str] = lambda: secrets.token_urlsafe(24)
    taken: dict[str, Seat] = field(default_factory=dict)
    """Person -> seat."""
    queue: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Person -> (board, when last heard of), in the order of arrival."""
    over: list[str] = field(default_factory=list)

    def ask(self, person: str, board: str, now: float) -> Seat | int:
        """A seat for `person` on `board`, or the place in the queue (1 is next)."""
        seat = self.taken.get(person)
        if seat is not None and (seat.board != board or seat.kernel):
            self._free(seat)  # another board, or the same once more in another tab: the newer one counts
            seat = None
        if seat is not None:
            seat.since = now
            return seat
        self.queue[person] = (board, now)  # who is there already keeps his place
        self.tidy(now)
        free = self.capacity - len(self.taken)
        place = list(self.queue).index(person) + 1
        if place > free:
            return place - max(free, 0)
        del self.queue[person]
        given = self.taken[person] = Seat(person, board, self.make_token(), now, used=now)
        return given

    def find(self, person: str, board: str, token: str) -> Seat | None:
        """The seat that `token` stands for, if it is this person's on this board."""
        seat = self.taken.get(person)
        known = seat is not None and seat.board == board and secrets.compare_digest(seat.token, token)
        return seat if known else None

    def holder(self, kernel: str) -> Seat | None:
        """The seat of a kernel."""
        return next((seat for seat in self.taken.values() if kernel and seat.kernel == kernel), None)

    def start(self, seat: Seat, kernel: str, now: float) -> None:
        """A kernel runs on the seat now; one that ran before is over, as is this one if the seat was lost meanwhile."""
        if self.taken.get(seat.person) is not seat:
            self.over.append(kernel)
            return
        if seat.kernel:
            self.over.append(seat.kernel)
        seat.kernel, seat.since, seat.used, seat.opened = kernel, now, now, False

    def hold(self, seat: Seat, now: float, *, opened: bool = False) -> None:
        """Somebody is there: the page is rendered, or (`opened`) it is connected to its kernel."""
        seat.connections += 1
        seat.opened = seat.opened or opened
        seat.since = seat.used = now

    def release(self, seat: Seat, now: float) -> None:
        """Who held it is gone."""
        seat.connections -= 1
        seat.since = seat.used = now

    def revoke(self, kernel: str) -> None:
        """A session must not go on."""
        seat = self.holder(kernel)
        if seat is not None:
            self._free(seat)

    def end(self, kernel: str) -> None:
        """A kernel ended, whoever ended it."""
        seat = self.holder(kernel)
        if seat is not None:
            seat.kernel = ""
            self._free(seat)

    def tidy(self, now: float) -> None:
        """Take back what nobody uses: idle sessions, pages that left, seats not taken, places not asked for."""
        for seat in list(self.taken.values()):
            idle = seat.kernel and now - seat.used > self.idle_seconds
            if idle or (not seat.connections and now - seat.since > self._patience(seat)):
                self._free(seat)
        self.queue = {
            person: (board, heard) for person, (board, heard) in self.queue.items() if now - heard <= ASK_WITHIN_SECONDS
        }

    def _patience(self, seat: Seat) -> float:
        if not seat.kernel:
            return START_WITHIN_SECONDS
        return RECONNECT_WITHIN_SECONDS if seat.opened else CONNECT_WITHIN_SECONDS

    def _free(self, seat: Seat) -> None:
        if self.taken.get(seat.person) is seat:
            del self.taken[seat.person]
        if seat.kernel:
            self.over.append(seat.kernel)
