"""The life of one target: a scrape each interval, what came of it kept, markers when it is gone."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from workbench.errors import InputError, WorkbenchError
from workbench.ingest.points import Member
from workbench.ingest.scrape.exposition import Families, read_openmetrics, read_text
from workbench.ingest.scrape.fetch import OPENMETRICS, PROTOBUF, Exposition, fetch
from workbench.ingest.scrape.protobuf import read_protobuf
from workbench.ingest.scrape.session import Scrape, Session
from workbench.ingest.scrape.settings import Job
from workbench.ingest.scrape.targets import Target
from workbench.log import get

if TYPE_CHECKING:
    import httpx

ALIGNED_US = 2000
"""A scrape that begins so little after its time bears its time: regular times compress far better."""

log = get(__name__)


class Sink(Protocol):
    """Where series and samples go: the hub, from the process that scrapes."""

    async def enter(self, members: Sequence[Member], source: str) -> list[int | None]:
        """Ids of series, in their order; None for one that is refused. Raises WorkbenchError."""

    async def append(self, samples: pa.RecordBatch) -> None:
        """Keep rows of `samples`; returns once they are durable. Raises WorkbenchError."""


@dataclass
class Health:
    """How the last scrape of a target ended. Times µs UTC; `state` is up, down or unknown."""

    state: str = "unknown"
    error: str = ""
    last_us: int = 0
    duration_seconds: float = 0.0
    samples: int = 0
    refused: int = 0
    trouble: str = ""
    """Why what was scraped could not be kept; empty where it was."""


class TargetLoop:
    """Scrapes one target until it is stopped."""

    def __init__(
        self, target: Target, job: Job, client: httpx.AsyncClient, sink: Sink, clock: Callable[[], float] = time.time
    ) -> None:
        self.target = target
        self.job = job
        self.health = Health()
        self.forced_error = ""
        self._client = client
        self._sink = sink
        self._clock = clock
        self._session = Session(target, job)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the first scrape comes within one interval."""
        self._task = asyncio.create_task(self._run(), name=f"scrape {self.target.url}")

    async def configure(self, target: Target, job: Job, client: httpx.AsyncClient) -> None:
        """Go on with other settings, after the scrape under way."""
        await self._halt()
        self.target, self.job, self._client = target, job, client
        self._session.configure(target, job)
        self.start()

    async def stop(self, *, gone: bool) -> None:
        """End. `gone`: the target is no more, so its series get staleness markers."""
        await self._halt()
        if gone:
            rows = self._session.end(self._now_us())
            if len(rows.series):
                try:
                    await self._sink.append(rows.batch())
                except WorkbenchError as error:
                    log.warning("staleness markers not written", target=self.target.url, error=str(error))

    async def scrape(self, time_us: int) -> None:
        """Scrape once; the samples bear `time_us`."""
        began = time.perf_counter()
        failure = self.forced_error
        scrape: Scrape | None = None
        if not failure:
            try:
                async with asyncio.timeout(self.target.timeout_seconds):
                    exposition = await fetch(self._client, self.target, self.job)
                scrape = self._session.begin(time_us)
                await asyncio.to_thread(self._read, exposition, scrape)
            except TimeoutError:
                failure = f"no answer within {self.target.timeout_seconds:g} s"
            except WorkbenchError as error:
                failure = f"{error.where}: {error.message}" if error.where else error.message
        if scrape is None or failure:
            scrape = self._session.nothing(time_us, scrape)
        duration = time.perf_counter() - began
        trouble = await self._keep(scrape, duration)
        self.health = Health(
            "down" if failure else "up", failure, time_us, duration, scrape.exposed, scrape.refused, trouble
        )

    def _read(self, exposition: Exposition, scrape: Scrape) -> None:
        families = Families()
        if exposition.format == PROTOBUF:
            native, classic = self.job.native_histograms, self.job.classic_histograms
            samples = read_protobuf(exposition.body, families, native=native, classic=classic)
            self._session.take(samples, families, scrape)
            return
        try:
            text = exposition.body.decode()
        except UnicodeDecodeError as error:
            raise InputError("not UTF-8 text", where=f"byte {error.start}") from error
        reader = read_openmetrics if exposition.format == OPENMETRICS else read_text
        self._session.take(reader(text, families, self._session.known), families, scrape)

    async def _keep(self, scrape: Scrape, duration_seconds: float) -> str:
        """Enter the new series and append the rows; why that failed, or nothing."""
        try:
            unknown = self._session.unknown(scrape)
            if unknown:
                members = [entry.member for entry in unknown if entry.member is not None]
                self._session.entered(unknown, await self._sink.enter(members, f"scrape:{self.job.name}"), scrape)
            rows, present = self._session.rows(scrape, duration_seconds)
            if len(rows.series):
                await self._sink.append(rows.batch())
        except WorkbenchError as error:
            if not self.health.trouble:
                log.warning("a scrape is not kept", target=self.target.url, error=str(error))
            return f"not kept: {error.message}"
        self._session.done(scrape, present)
        return ""

    async def _run(self) -> None:
        while True:
            due_us = self._next_us()
            await asyncio.sleep(max(0.0, due_us / 1e6 - self._clock()))
            now_us = self._now_us()
            try:
                # To the millisecond, as Prometheus has it.
                await self.scrape(due_us if 0 <= now_us - due_us <= ALIGNED_US else now_us // 1000 * 1000)
            except Exception:  # a loop that ends in silence would be worse than any fault of ours
                log.exception("a scrape failed", target=self.target.url)

    def _next_us(self) -> int:
        """The next time on the target's own grid: its offset spreads the targets over the interval."""
        interval_us = round(self.target.interval_seconds * 1e6)
        digest = hashlib.sha256(repr(self.target.key).encode()).digest()
        offset_us = int.from_bytes(digest[:8], "big") % interval_us // 1000 * 1000
        return ((self._now_us() - offset_us) // interval_us + 1) * interval_us + offset_us

    async def _halt(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def _now_us(self) -> int:
        return int(self._clock() * 1e6)
