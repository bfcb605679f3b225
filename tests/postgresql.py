"""A real PostgreSQL server for the tests, one per run of them; every test that asks gets a database of its own."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench import config
from workbench.store import state


class PostgreSQL:
    """Databases with the newest schema, and empty; copies of one that was migrated once."""

    def __init__(self, socket: Path) -> None:
        self._base = f"postgresql+psycopg://postgres@/{{}}?host={socket}"
        self._numbers = itertools.count(1)
        self._server = state.open_engine(self._base.format("postgres")).execution_options(isolation_level="AUTOCOMMIT")

    def bare(self) -> str:
        """URL of a new database without any table."""
        return self._made("template1")

    def database(self) -> str:
        """URL of a new database with the newest schema."""
        if not getattr(self, "_migrated", ""):
            url = self.bare()
            settings = config.Settings(home=Path(tempfile.mkdtemp()), state=config.State(url=url))
            state.engine(settings).dispose()
            self._migrated = url.rpartition("?")[0].rpartition("/")[2]
        return self._made(self._migrated)

    def _made(self, template: str) -> str:
        name = f"test{next(self._numbers)}"
        with self._server.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self._base.format(name)


@contextmanager
def running(programs: Path) -> Iterator[PostgreSQL]:
    """A server with its socket in a folder of its own; nothing is synced, since nothing is to last."""
    folder = Path(tempfile.mkdtemp(prefix="wb-pg-"))
    # It refuses to run as root.
    as_user = []
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data = folder / "data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "check": True, "cwd": folder}
    initdb = [*as_user, str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync"]
    subprocess.run([*initdb, "-E", "UTF8", "--locale=C"], **quiet)
    options = f"-k {folder} -c listen_addresses= -c fsync=off -c full_page_writes=off -c shared_buffers=16MB"
    control = [*as_user, str(programs / "pg_ctl"), "-D", str(data), "-w"]
    subprocess.run([*control, "-l", str(folder / "log"), "-o", options, "start"], **quiet)
    try:
        yield PostgreSQL(folder)
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **quiet)
        shutil.rmtree(folder, ignore_errors=True)


def programs() -> Path | None:
    """Where initdb and pg_ctl are: Debian keeps them out of the way, by version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None
