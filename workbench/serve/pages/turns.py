"""Questions in turn: a few at once, a bounded number waiting, and an end for what nobody waits for any more."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import threading
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from workbench.errors import Busy, QueryCanceled, WorkbenchError
from workbench.query import error_response
from workbench.store import View

Answer = TypeVar("Answer")

RETRY_AFTER_SECONDS = 2
VERSION_HEADER = "x-lake-version"
"""Carries the lake version that an answer was read at; an answer that names none may hold newer rows of the log too."""

FORM = "application/x-www-form-urlencoded"
_COMPRESS_FROM_BYTES = 1400  # what fits into one packet gains nothing


class Turns:
    """`concurrent` questions run at once in threads; of the others at most `queue` wait, each so many seconds."""

    def __init__(self, concurrent: int, queue: int, wait_seconds: float) -> None:
        self._turn = asyncio.Semaphore(concurrent)
        self._queue = queue
        self._wait_seconds = wait_seconds
        self._waiting = 0

    async def answer(self, request: Request, question: Callable[[threading.Event], Answer]) -> Answer:
        """What `question` gives; the event it is handed is set when whoever asked goes away.

        The body of the request must have been read. Raises Busy where the queue is full or the wait too long,
        QueryCanceled where whoever asked left the queue, and what the question raises.
        """
        gone = threading.Event()
        watching = asyncio.create_task(_watch(request, gone))
        try:
            await self._take(watching)
            try:
                return await asyncio.to_thread(question, gone)
            finally:
                self._turn.release()
        finally:
            watching.cancel()

    async def _take(self, watching: asyncio.Task[None]) -> None:
        if not self._turn.locked():
            await self._turn.acquire()
            return
        if self._waiting >= self._queue:
            raise _busy("too many questions are waiting already")
        self._waiting += 1
        taking = asyncio.create_task(self._turn.acquire())
        try:
            done, _ = await asyncio.wait(
                {taking, watching}, timeout=self._wait_seconds, return_when=asyncio.FIRST_COMPLETED
            )
        except asyncio.CancelledError:
            await self._give_up(taking)
            raise
        finally:
            self._waiting -= 1
        if taking in done:
            return
        await self._give_up(taking)
        if watching in done:
            raise QueryCanceled("query was canceled: whoever asked went away before its turn")
        raise _busy(f"its turn did not come within {self._wait_seconds:.0f} s")

    async def _give_up(self, taking: asyncio.Task[bool]) -> None:
        taking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            if await taking:  # its turn came at the last moment
                self._turn.release()


async def _watch(request: Request, gone: threading.Event) -> None:
    """Set the event when the client closes the connection. What it still sends is dropped."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gone.set()


def _busy(message: str) -> Busy:
    return Busy(message, retry_after_seconds=RETRY_AFTER_SECONDS, where="query.concurrent")


async def parameters_of(request: Request) -> list[tuple[str, str]]:
    """Query string, then form. Of a parameter that stands in both, the form's counts: it comes last."""
    parameters = request.query_params.multi_items()
    if request.method == "POST" and request.headers.get("content-type", "").startswith(FORM):
        parameters += parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
    return parameters


async def in_turn(request: Request, turns: Turns, question: Callable[[threading.Event], Response]) -> Response:
    """The answer to a question in its turn; what goes wrong is answered in the shape of Prometheus' API."""
    try:
        return await turns.answer(request, question)
    except WorkbenchError as error:
        status, body = error_response(error)
        headers = {"retry-after": str(error.retry_after_seconds)} if isinstance(error, Busy) else None
        return Response(body, status, headers, "application/json")


def answered(request: Request, view: View, status: int, media: str, body: bytes, *, encoding: str = "") -> Response:
    """An answer that says which lake version it was read at, compressed where the client takes that.

    `encoding` names the one that the body has already.
    """
    headers = {VERSION_HEADER: view.lake_version, "vary": "accept-encoding"}
    if encoding:
        headers["content-encoding"] = encoding
    elif "gzip" in request.headers.get("accept-encoding", "") and len(body) >= _COMPRESS_FROM_BYTES:
        # Level 1: half the time of level 6 for a sixth more bytes, and JSON of numbers shrinks to a fifth either way.
        body, headers["content-encoding"] = gzip.compress(body, 1), "gzip"
    return Response(body, status, headers, media)
