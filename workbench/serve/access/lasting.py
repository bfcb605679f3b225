"""Streams and websockets end with the right to open them: a revoked token, a sign-out, another role.

One task looks at all that lasts; who asks for a page and has it before the next look pays for no more than an entry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

LOOK_SECONDS = 0.2
"""Between two looks; with what the resolver remembers, what is revoked ends within about a second."""


class Lasting:
    """The requests under way at one gate, and what each needs to go on."""

    def __init__(self) -> None:
        self._allowed: dict[asyncio.Task[None], Callable[[], bool]] = {}
        self._ended: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None

    async def run(self, work: Coroutine[Any, Any, None], allowed: Callable[[], bool]) -> bool:
        """Run `work` to its end; False where it was ended because `allowed` said so. Raises what it raises."""
        task = asyncio.ensure_future(work)
        self._allowed[task] = allowed
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            await task
        except asyncio.CancelledError:
            if task in self._ended:
                return False
            raise
        finally:
            self._allowed.pop(task, None)
            self._ended.discard(task)
        return True

    async def _look(self) -> None:
        while self._allowed:
            await asyncio.sleep(LOOK_SECONDS)
            for task, allowed in list(self._allowed.items()):
                if task not in self._ended and not allowed():
                    self._ended.add(task)
                    task.cancel()
