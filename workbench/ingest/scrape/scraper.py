"""All jobs of a scrape file, read again when it changes: targets found and kept up to date, a loop for each."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import ConfigError, WorkbenchError
from workbench.ingest.scrape.access import http_client
from workbench.ingest.scrape.discovery import DISCOVERY_ERRORS, FileGroups, ask_groups
from workbench.ingest.scrape.loop import Sink, TargetLoop
from workbench.ingest.scrape.read import read_scraping
from workbench.ingest.scrape.settings import Group, HttpDiscovery, Job, Scraping
from workbench.ingest.scrape.targets import find_targets
from workbench.log import get

if TYPE_CHECKING:
    import httpx

LOOK_SECONDS = 1.0
"""Between two looks at the scrape file and at the files of `file_sd`: a look costs a few microseconds a file."""

log = get(__name__)

Stamp = tuple[tuple[str, int, int], ...]


class Scraper:
    """Runs the jobs of one file. Create it in the event loop that runs it."""

    def __init__(self, file: Path, sink: Sink, clock: Callable[[], float] = time.time) -> None:
        self.file = file
        self.fault = ""
        self.jobs: dict[str, RunningJob] = {}
        self.scraping = Scraping(files=(file,))
        self._sink = sink
        self._clock = clock
        self._stamp: Stamp | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Scrape until `stop`. The series of targets are not marked stale then: the next run goes on with them."""
        try:
            while not stop.is_set():
                await self.look()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
        finally:
            await asyncio.gather(*(job.stop(gone=False) for job in self.jobs.values()))

    async def look(self) -> None:
        """Read the file again if it changed, and look for targets. A file with faults changes nothing but `fault`."""
        stamp = _stamp(self.scraping.files or (self.file,))
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                found = await asyncio.to_thread(read_scraping, self.file) if self.file.exists() else Scraping()
                await self._apply(found)
                self.fault = ""
                self._stamp = _stamp(found.files or (self.file,))
            except ConfigError as error:
                self.fault = error.message
                log.error("the scrape file is not read", error=error.message)
        for job in self.jobs.values():
            await job.look()

    async def _apply(self, found: Scraping) -> None:
        self.scraping = found
        wanted = {job.name: job for job in found.jobs}
        for name in [name for name in self.jobs if name not in wanted]:
            await self.jobs.pop(name).stop(gone=True)
        for name, job in wanted.items():
            if name not in self.jobs:
                self.jobs[name] = RunningJob(job, self._sink, self._clock)
            elif self.jobs[name].job != job:
                await self.jobs[name].configure(job)


class RunningJob:
    """One job: its discoveries, its targets' loops."""

    def __init__(self, job: Job, sink: Sink, clock: Callable[[], float]) -> None:
        self._sink = sink
        self._clock = clock
        self.loops: dict[object, TargetLoop] = {}
        self.dropped: tuple[dict[str, str], ...] = ()
        self.faults: tuple[str, ...] = ()
        self._begin(job)

    def _begin(self, job: Job) -> None:
        self.job = job
        self._files = [FileGroups(one) for one in job.files]
        self._asked: dict[HttpDiscovery, list[Group]] = {}
        self._answers: dict[HttpDiscovery, str] = {}
        self._groups: tuple[Group, ...] | None = None
        self._client: httpx.AsyncClient | None = None
        self._asking = [asyncio.create_task(self._ask(one), name=f"http_sd {one.url}") for one in job.http]

    async def configure(self, job: Job) -> None:
        """Go on with other settings; targets that stay the same keep their series."""
        before = self._client
        await self._end_discovery()
        self._begin(job)
        await self.look()
        if before is not None:
            await before.aclose()

    async def look(self) -> None:
        """See which targets there are now; start, keep and stop their loops."""
        groups = (
            *self.job.groups,
            *(group for files in self._files for group in files.look()),
            *(group for found in self._asked.values() for group in found),
        )
        if groups == self._groups:
            return
        self._groups = groups
        try:
            client = self._client or http_client(self.job.access, self.job.timeout_seconds)
        except ConfigError as error:
            self.faults, self._groups = (str(error),), None
            return
        fresh, self._client = self._client is None, client
        found = find_targets(self.job, groups)
        self.dropped, self.faults = found.dropped, found.faults
        targets = {target.key: target for target in found.targets}
        for key in [key for key in self.loops if key not in targets]:
            await self.loops.pop(key).stop(gone=True)
        for key, target in targets.items():
            loop = self.loops.get(key)
            if loop is None:
                loop = self.loops[key] = TargetLoop(target, self.job, client, self._sink, self._clock)
                loop.start()
            elif fresh or loop.target != target:
                await loop.configure(target, self.job, client)
        self._bound()

    def _bound(self) -> None:
        limit = self.job.limits.targets
        over = f"target_limit exceeded: {len(self.loops)} targets, target_limit is {limit}"
        for loop in self.loops.values():
            loop.forced_error = over if limit and len(self.loops) > limit else ""

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is wrong with finding targets, in words."""
        files = (fault for found in self._files for fault in found.faults)
        return (*self.faults, *files, *(f"{one.url}: {text}" for one, text in self._answers.items() if text))

    async def stop(self, *, gone: bool) -> None:
        """End all loops."""
        await self._end_discovery()
        await asyncio.gather(*(loop.stop(gone=gone) for loop in self.loops.values()))
        self.loops = {}
        if self._client is not None:
            await self._client.aclose()

    async def _end_discovery(self) -> None:
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def _ask(self, discovery: HttpDiscovery) -> None:
        """Ask an address again and again; while it does not answer, what it said last counts."""
        import httpx

        while True:
            try:
                self._asked[discovery] = await ask_groups(discovery)
                self._answers[discovery] = ""
            except (*DISCOVERY_ERRORS, httpx.HTTPError) as error:
                self._answers[discovery] = error.message if isinstance(error, WorkbenchError) else str(error)
            await asyncio.sleep(discovery.refresh_seconds)


def _stamp(files: Iterable[Path]) -> Stamp:
    found = []
    for file in files:
        try:
            stat = file.stat()
            found.append((str(file), stat.st_mtime_ns, stat.st_size))
        except OSError:
            found.append((str(file), 0, 0))
    return tuple(found)
