"""From the process that scrapes to the hub, over its local socket; both ends of `POST /enter`.

    POST /enter   JSON {"source", "new": [[name, type, unit, labels, help], …]} -> {"ids": [id or null, …]}
    POST /append  as every local writer

The hub judges new series as those of any door: one over a limit is refused, counted and kept as a dead letter.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from workbench.errors import InputError, StoreError, raised_again
from workbench.ingest.points import Member
from workbench.store import Identity, encode_batches

if TYPE_CHECKING:
    from workbench.ingest.receiver import Receiver

ENTER_AT_ONCE = 5000
"""Series of one request: other senders wait while it is judged."""

TIMEOUT_SECONDS = 30.0


class HubSink:
    """Series and samples into the running hub. Create it in the event loop that uses it."""

    def __init__(self, socket: Path) -> None:
        import httpx

        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket)), base_url="http://hub", timeout=TIMEOUT_SECONDS
        )

    async def enter(self, members: Sequence[Member], source: str) -> list[int | None]:
        """Ids of series, in their order; None for one that is refused."""
        found: list[int | None] = []
        for start in range(0, len(members), ENTER_AT_ONCE):
            new = [
                [m.identity.name, m.identity.type, m.identity.unit, m.identity.attributes, m.description]
                for m in members[start : start + ENTER_AT_ONCE]
            ]
            answer = await self._ask("/enter", json.dumps({"source": source, "new": new}).encode())
            found += json.loads(answer)["ids"]
        return found

    async def append(self, samples: pa.RecordBatch) -> None:
        """Keep rows of `samples`."""
        await self._ask("/append", encode_batches({"samples": samples}))

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def _ask(self, path: str, body: bytes) -> bytes:
        import httpx

        try:
            answer = await self._client.post(path, content=body)
        except httpx.HTTPError as error:
            raise StoreError(f"the hub does not answer: {error!r}", hint="See `workbench status`.") from error
        if answer.status_code != 200:
            raise raised_again(answer.content, StoreError(f"the hub answered {answer.status_code}"))
        return answer.content


def answer_enter(receiver: Receiver, body: bytes) -> bytes:
    """The hub's side of `/enter`. Blocks until the series are durable. Raises InputError, StoreError."""
    try:
        asked = json.loads(body)
        source = str(asked["source"])
        members = [
            Member(Identity("prometheus", name, type_, unit, "", (), tuple((k, v) for k, v in labels)), help_, "")
            for name, type_, unit, labels, help_ in asked["new"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"not a list of series: {error!r}", where="body") from error
    return json.dumps({"ids": receiver.enter_scraped(members, source)}).encode()
