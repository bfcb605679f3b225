"""Questions in turn: what is too much is told so, who goes away is not waited for."""

from __future__ import annotations

import asyncio
import threading

import pytest
from starlette.requests import Request
from starlette.responses import Response

from workbench.errors import Busy, QueryCanceled
from workbench.serve.pages.turns import Turns, in_turn


class Client:
    """A request whose client can hang up."""

    def __init__(self) -> None:
        self._gone = asyncio.Event()
        self.request = Request({"type": "http", "headers": []}, self._receive)

    async def _receive(self) -> dict:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    def hang_up(self) -> None:
        self._gone.set()


async def started(turns: Turns) -> tuple[asyncio.Task, threading.Event, Client]:
    """A question that has its turn and goes on until the event is set or its client hangs up."""
    begun, end, client = threading.Event(), threading.Event(), Client()

    def question(gone: threading.Event) -> str:
        begun.set()
        while not end.wait(0.01):
            if gone.is_set():
                return "gone"
        return "done"

    task = asyncio.create_task(turns.answer(client.request, question))
    await asyncio.to_thread(begun.wait, 10)
    return task, end, client


def test_more_than_can_wait_are_told_to_come_back():
    async def story() -> None:
        turns = Turns(concurrent=1, queue=1, wait_seconds=30)
        first, end, _ = await started(turns)
        second = asyncio.create_task(turns.answer(Client().request, lambda gone: "second"))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await turns.answer(Client().request, lambda gone: "third")
        answer = await in_turn(Client().request, turns, lambda gone: Response("third"))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert b'"errorType":"unavailable"' in answer.body
        end.set()
        assert (await first, await second) == ("done", "second")

    asyncio.run(story())


def test_who_hangs_up_ends_his_question():
    async def story() -> None:
        turns = Turns(concurrent=1, queue=1, wait_seconds=30)
        first, _, client = await started(turns)
        client.hang_up()
        assert await first == "gone"

    asyncio.run(story())


def test_who_leaves_the_queue_or_waits_too_long_takes_nobodys_turn():
    async def story() -> None:
        turns = Turns(concurrent=1, queue=2, wait_seconds=0.01)
        first, end, _ = await started(turns)
        with pytest.raises(Busy):
            await turns.answer(Client().request, lambda gone: "late")
        turns = Turns(concurrent=1, queue=2, wait_seconds=30)
        other, other_end, _ = await started(turns)
        leaving = Client()
        waiting = asyncio.create_task(turns.answer(leaving.request, lambda gone: "never"))
        await asyncio.sleep(0)
        leaving.hang_up()
        with pytest.raises(QueryCanceled):
            await waiting
        end.set()
        other_end.set()
        await asyncio.gather(first, other)
        assert await turns.answer(Client().request, lambda gone: "free") == "free"

    asyncio.run(story())
