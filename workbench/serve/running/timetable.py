"""When jobs are due: APScheduler 3 with its job store in our state, our reading of cron, a queue as its executor."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from apscheduler.executors.base import BaseExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.base import BaseTrigger

from workbench import log
from workbench.report import Job, disabled_jobs, enqueue, next_time, parse_cron

RETRY_SECONDS = 1.0

Clock = Callable[[], float]

logger = log.get(__name__)


class CronIn(BaseTrigger):  # type: ignore[misc]
    """A cron expression in a zone, as a trigger; see `workbench.report.jobs.cron` for what it does when clocks change.

    It holds two texts, so that what lies in the store can be read by any later version.
    """

    def __init__(self, cron: str, timezone: str) -> None:
        self.cron = cron
        self.timezone = timezone

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        """The first time after the last one, and after `now` where there was none."""
        return next_time(parse_cron(self.cron), ZoneInfo(self.timezone), previous or now)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CronIn) and (self.cron, self.timezone) == (other.cron, other.timezone)

    def __hash__(self) -> int:
        return hash((self.cron, self.timezone))


class Queue(BaseExecutor):  # type: ignore[misc]
    """Writes a due time down as a run; it is carried out elsewhere."""

    def __init__(self, queue: Callable[[str, datetime], None]) -> None:
        super().__init__()
        self._queue = queue

    def submit_job(self, job: Any, run_times: list[datetime]) -> None:
        """Called with the last of the times that passed, as the jobs coalesce."""
        self._do_submit_job(job, run_times)

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
        for moment in run_times:
            self._queue(job.id, moment)


class Ticked(BaseScheduler):  # type: ignore[misc]
    """APScheduler without a thread of its own: it looks at the clock when it is told to."""

    def wakeup(self) -> None:
        """Nothing: the next tick comes by itself."""

    def shutdown(self, wait: bool = True) -> None:
        """End."""
        super().shutdown(wait)

    def tick(self) -> None:
        """Hand what is due to the executor, and write down when it is due next."""
        self._process_jobs()


class Timetable:
    """Keeps APScheduler's store in step with the schedule files, and turns due times into queued runs."""

    def __init__(self, engine: sa.Engine, clock: Clock = time.time) -> None:
        self._engine = engine
        self._clock = clock
        self._jobs: Mapping[str, Job] = {}
        self._stopping = threading.Event()
        self._scheduler = Ticked(timezone=UTC)
        store = SQLAlchemyJobStore(engine=engine, tablename="schedule", metadata=sa.MetaData())
        self._scheduler.add_jobstore(store)
        self._scheduler.add_executor(Queue(self._enqueue))

    def start(self, jobs: Mapping[str, Job]) -> None:
        """Begin; what became due while nothing ran is queued once at the next tick, however long ago it was."""
        self._scheduler.start()
        self.follow(jobs)

    def tick(self) -> None:
        """Queue what is due."""
        self._scheduler.tick()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self._scheduler.shutdown()

    def follow(self, jobs: Mapping[str, Job]) -> None:
        """Take over what schedule files and switches say now. A job that did not change keeps its next time."""
        self._jobs = jobs
        off = disabled_jobs(self._engine)
        wanted = {job.name: CronIn(job.cron.text, job.timezone) for job in jobs.values() if job.cron}
        for known in self._scheduler.get_jobs():
            if known.id not in wanted or known.id in off:
                known.remove()
            elif known.trigger != wanted[known.id]:
                known.reschedule(wanted[known.id])
        present = {known.id for known in self._scheduler.get_jobs()}
        for name, trigger in wanted.items():
            if name not in present and name not in off:
                self._scheduler.add_job(
                    due,
                    trigger,
                    id=name,
                    name=name,
                    coalesce=True,
                    misfire_grace_time=None,
                    next_run_time=trigger.get_next_fire_time(None, datetime.fromtimestamp(self._clock(), UTC)),
                )

    def _enqueue(self, name: str, moment: datetime) -> None:
        job = self._jobs.get(name)
        if job is None:
            return
        # APScheduler goes on to the next time whatever happens here, so this one must be written down.
        while not self._stopping.is_set():
            try:
                enqueue(
                    self._engine,
                    job,
                    cause="schedule",
                    scheduled_us=round(moment.timestamp() * 1e6),
                    now_us=int(self._clock() * 1e6),
                )
            except sa.exc.SQLAlchemyError as error:
                logger.error("a due run cannot be written down; trying again", job=name, error=str(error))
                self._stopping.wait(RETRY_SECONDS)
            else:
                return


def due() -> None:
    """What a job in APScheduler's store names; `Queue` acts in its place."""
