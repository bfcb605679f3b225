"""What others may know of the scheduler without loading it: the next time of each job, and whether it runs."""

from __future__ import annotations

import fcntl
import os

import sqlalchemy as sa

from workbench.config import Settings, ensure_private_dir
from workbench.store import state


def next_times(engine: sa.Engine) -> dict[str, int]:
    """The next time of each job by name, microseconds UTC."""
    table = state.schedule
    with engine.connect() as connection:
        rows = connection.execute(sa.select(table.c.id, table.c.next_run_time)).all()
    return {row.id: round(row.next_run_time * 1e6) for row in rows if row.next_run_time is not None}


def take_lock(settings: Settings) -> int | None:
    """The descriptor that says that we run the jobs of this home; None while another process does."""
    fd = os.open(ensure_private_dir(settings.state_dir) / "jobs.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd
