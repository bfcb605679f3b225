"""State that changes in place: people and what they may, alerts, the outbox, jobs, reports, snapshots, pins.

SQLite in the home, or PostgreSQL by `state.url`; through SQLAlchemy, with Alembic migrations beside this file.
Times are integers: microseconds since
1970 UTC (`_us`). Secrets are kept as SHA-256 digests only, passwords as argon2id.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event

from workbench.config import Settings, ensure_private_dir
from workbench.errors import ConfigError, StoreError

metadata = sa.MetaData()

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("role", sa.String, nullable=False),
    sa.Column("created_us", sa.BigInteger, nullable=False),
    sa.Column("disabled_us", sa.BigInteger),
    sa.Column("password", sa.String),  # argon2id, with parameters and salt; null: signs in by link or elsewhere
    sa.Column("subject", sa.String),  # who that is at the identity provider: its issuer, a blank, its subject
    sa.Index("users_subject", "subject", unique=True),
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("digest", sa.String, nullable=False, unique=True),
    sa.Column("role", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("created_us", sa.BigInteger, nullable=False),
    sa.Column("expires_us", sa.BigInteger),
    sa.Column("revoked_us", sa.BigInteger),
)

rows_policies = sa.Table(
    "rows_policies",
    metadata,
    sa.Column("subject", sa.String, primary_key=True),
    sa.Column("matchers", sa.String, nullable=False),
    sa.Column("changed_us", sa.BigInteger, nullable=False),
)

metric_metadata = sa.Table(
    "metric_metadata",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("type", sa.String, nullable=False),
    sa.Column("unit", sa.String, nullable=False),
    sa.Column("help", sa.Text, nullable=False),
    sa.Column("told_us", sa.BigInteger, nullable=False),
)

signin_links = sa.Table(
    "signin_links",
    metadata,
    sa.Column("digest", sa.String, primary_key=True),
    sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("expires_us", sa.BigInteger, nullable=False),
    sa.Column("used_us", sa.BigInteger),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("digest", sa.String, primary_key=True),
    sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("created_us", sa.BigInteger, nullable=False),
    sa.Column("expires_us", sa.BigInteger, nullable=False),
    sa.Column("revoked_us", sa.BigInteger),
    sa.Column("signed_in_us", sa.BigInteger),  # when its person last proved who he is
    sa.Column("method", sa.String),
    sa.Column("agent", sa.String),
    sa.Column("address", sa.String),
    sa.Column("parent", sa.String),  # of a session of the notebook origin: the digest of the one that it ends with
)

tickets = sa.Table(
    "tickets",
    metadata,
    sa.Column("digest", sa.String, primary_key=True),
    sa.Column("session", sa.String, nullable=False),
    sa.Column("expires_us", sa.BigInteger, nullable=False),
)

alert_states = sa.Table(
    "alert_states",
    metadata,
    sa.Column("fingerprint", sa.String, primary_key=True),
    sa.Column("rule", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("annotations", sa.JSON, nullable=False),
    sa.Column("value", sa.Float),
    sa.Column("active_us", sa.BigInteger, nullable=False),
    sa.Column("fired_us", sa.BigInteger),
    sa.Column("resolved_us", sa.BigInteger),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("dedup_key", sa.String, nullable=False, unique=True),
    sa.Column("channel", sa.String, nullable=False),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("created_us", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_us", sa.BigInteger, nullable=False),
    sa.Column("claimed_until_us", sa.BigInteger, nullable=False),
    sa.Column("sent_us", sa.BigInteger),
    sa.Column("last_error", sa.String),
    sa.Index("outbox_due", "state", "next_attempt_us"),
)

reports = sa.Table(
    "reports",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("date", sa.String, nullable=False),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("lake_version", sa.String, nullable=False),
    sa.Column("code_version", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("started_us", sa.BigInteger, nullable=False),
    sa.Column("finished_us", sa.BigInteger),
    sa.Column("folder", sa.String, nullable=False),
    sa.Column("error", sa.String),
    sa.Column("rows", sa.String, nullable=False, server_default="{}"),
    sa.Column("run_id", sa.Integer),
    sa.Index("reports_of_run", "run_id"),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("changed_us", sa.BigInteger, nullable=False),
    sa.Column("changed_by", sa.String, nullable=False),
)

job_runs = sa.Table(
    "job_runs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.String, nullable=False, unique=True),
    sa.Column("job", sa.String, nullable=False),
    sa.Column("cause", sa.String, nullable=False),
    sa.Column("scheduled_us", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("due_us", sa.BigInteger, nullable=False),
    sa.Column("requested_by", sa.String, nullable=False),
    sa.Column("started_us", sa.BigInteger),
    sa.Column("finished_us", sa.BigInteger),
    sa.Column("report_id", sa.Integer),
    sa.Column("cell", sa.Integer),
    sa.Column("error", sa.String),
    sa.Index("job_runs_of_job", "job", "id"),
    sa.Index("job_runs_in_state", "state"),
)

mails = sa.Table(
    "mails",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("dedup_key", sa.String, nullable=False, unique=True),
    sa.Column("run_id", sa.Integer, nullable=False),
    sa.Column("recipients", sa.JSON, nullable=False),
    sa.Column("subject", sa.String, nullable=False),
    sa.Column("message", sa.LargeBinary),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("created_us", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_us", sa.BigInteger, nullable=False),
    sa.Column("sent_us", sa.BigInteger),
    sa.Column("last_error", sa.String),
    sa.Index("mails_in_state", "state"),
)

publications = sa.Table(
    "publications",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("notebook_sha256", sa.String, nullable=False),
    sa.Column("files", sa.JSON, nullable=False),
    sa.Column("replaced", sa.JSON, nullable=False),
    sa.Column("checks", sa.JSON, nullable=False),
    sa.Column("published_by", sa.String, nullable=False),
    sa.Column("created_us", sa.BigInteger, nullable=False),
    sa.Column("decided_by", sa.String),
    sa.Column("decided_us", sa.BigInteger),
)

schedule = sa.Table(
    "schedule",
    metadata,
    sa.Column("id", sa.Unicode(191), primary_key=True),
    sa.Column("next_run_time", sa.Float(25), index=True),
    sa.Column("job_state", sa.LargeBinary, nullable=False),
)
"""The job store of APScheduler 3: its own layout, made here so that one schema has one history."""

pins = sa.Table(
    "pins",
    metadata,
    sa.Column("lake_version", sa.String, primary_key=True),
    sa.Column("holder", sa.String, primary_key=True),
    sa.Column("created_us", sa.BigInteger, nullable=False),
)

snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("title", sa.String, nullable=False),
    sa.Column("description", sa.String, nullable=False),
    sa.Column("interactive", sa.Boolean, nullable=False),
    sa.Column("rows", sa.String, nullable=False),
    sa.Column("folder", sa.String),
    sa.Column("provenance", sa.JSON),
    sa.Column("executed_us", sa.BigInteger),
    sa.Column("live", sa.JSON, nullable=False),
    sa.Column("failed_us", sa.BigInteger),
    sa.Column("error", sa.String),
)

quality_results = sa.Table(
    "quality_results",
    metadata,
    sa.Column("source", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("kind", sa.String, primary_key=True),
    sa.Column("checked", sa.BigInteger, nullable=False),
    sa.Column("failed", sa.BigInteger, nullable=False),
    sa.Column("message", sa.String, nullable=False),
    sa.Column("rows", sa.JSON, nullable=False),
    sa.Column("statement", sa.String, nullable=False),
    sa.Column("evaluated_us", sa.BigInteger, nullable=False),
    sa.Column("changed_us", sa.BigInteger, nullable=False),
)

MIGRATIONS = Path(__file__).parent / "migrations"


_MIGRATING = 0x776F726B  # "work": the number of the advisory lock that a migration holds


def engine(settings: Settings) -> sa.Engine:
    """Open the relational state and bring it to the newest schema. Safe to call from several processes at once.

    Raises ConfigError for a URL that is neither SQLite's nor PostgreSQL's, StoreError where the server does not answer.
    """
    ensure_private_dir(settings.state_dir)
    return engine_at(settings.state_url)


def engine_at(url: str) -> sa.Engine:
    """The same for the state at a URL."""
    made = open_engine(url)
    try:
        _migrate(made)
    except sa.exc.OperationalError as error:
        if made.dialect.name == "sqlite":
            raise
        where = made.url.render_as_string(hide_password=True)
        raise StoreError(f"the state does not answer: {error.orig}", where=where, hint="See state.url.") from error
    return made


def open_engine(url: str) -> sa.Engine:
    """An engine for a URL, as it is, without a look at its schema. Raises ConfigError."""
    try:
        parts = sa.make_url(url)
        name = parts.get_backend_name()
    except sa.exc.ArgumentError as error:
        raise ConfigError("not a URL of a database", where="state.url", hint=_HINT) from error
    if name == "sqlite":
        made = sa.create_engine(parts)
        event.listen(made, "connect", _tune_sqlite)
        return made
    if name != "postgresql":
        raise ConfigError(f"the state cannot lie in {name}", where="state.url", hint=_HINT)
    try:
        # A connection that a restarted server has forgotten is replaced before it is used.
        return sa.create_engine(parts.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    except ImportError as error:
        hint = "Install the extra: workbench[backends]."
        raise ConfigError("the driver of PostgreSQL is missing", where="state.url", hint=hint) from error


def take_turns(connection: sa.Connection, table: sa.Table) -> None:
    """Until the transaction ends nobody else writes to a table, so that two processes cannot see the same row free."""
    if connection.dialect.name == "sqlite":
        connection.execute(sa.update(table).where(sa.false()).values({next(iter(table.c)): None}))
    else:
        connection.execute(sa.text(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE"))


_HINT = "As in postgresql://user@host/database, or empty for SQLite in the home."


def _tune_sqlite(connection, _record) -> None:  # type: ignore[no-untyped-def]
    # FULL: an acknowledged alert must survive a power cut, and WAL alone may lose the last commits.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")


def _migrate(made: sa.Engine) -> None:
    # Alembic takes 0.2 s to import; a process that finds the newest schema does not need it.
    newest = max(file.name.split("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    with made.connect() as connection:
        if sa.inspect(connection).has_table("alembic_version"):
            found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
            if found == newest:
                return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with _migration_lock(made) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _migration_lock(made: sa.Engine) -> Iterator[sa.Connection]:
    """One migrating process at a time: a lock is taken before the version is looked at."""
    with made.connect() as connection:
        if made.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_MIGRATING})"))
        yield connection
        connection.commit()
