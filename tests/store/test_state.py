"""The relational state, in SQLite and in PostgreSQL: its schema, its turns, and all of it from one to the other."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from workbench import config
from workbench.errors import ConfigError, InputError, StoreError
from workbench.store import Lake, back_up, copy_state, open_writer, restore, state


def test_migrations_end_in_the_schema_that_the_code_names(settings: config.Settings):
    engine = state.engine(settings)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, state.metadata) == []


def test_processes_that_start_at_once_migrate_once(settings, state_kind, request, monkeypatch):
    if state_kind == "postgresql":
        url = request.getfixturevalue("postgresql").bare()
        monkeypatch.setattr(config.Settings, "state_url", property(lambda settings: url))
    faults: list[Exception] = []

    def start() -> None:
        try:
            state.engine(settings).dispose()
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with state.engine(settings).connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(state.users)).scalar() == 0


def test_who_takes_turns_sees_what_the_one_before_wrote(settings):
    engine = state.engine(settings)
    row = {"enabled": True, "changed_us": 0, "changed_by": "me"}
    with engine.begin() as connection:
        connection.execute(state.jobs.insert().values(name="job", **row))

    def add() -> None:
        with engine.begin() as connection:
            state.take_turns(connection, state.jobs)
            known = connection.execute(sa.select(state.jobs.c.changed_us)).scalar_one()
            connection.execute(sa.update(state.jobs).values(changed_us=known + 1))

    threads = [threading.Thread(target=lambda: [add() for _ in range(5)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with engine.connect() as connection:
        assert connection.execute(sa.select(state.jobs.c.changed_us)).scalar_one() == 20


def fill(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        user = {"name": "ada", "role": "admin", "created_us": 1_764_000_000_000_000}
        user_id = connection.execute(state.users.insert().values(**user)).inserted_primary_key[0]
        link = {"digest": "d", "user_id": user_id, "expires_us": 2}
        connection.execute(state.signin_links.insert().values(**link))
        mail = {"dedup_key": "k", "run_id": 1, "recipients": ["a@b"], "subject": "ü", "message": b"\x00\xff"}
        waits = {"state": "queued", "created_us": 1, "attempts": 0, "next_attempt_us": 0}
        connection.execute(state.mails.insert().values(**mail, **waits))
        connection.execute(state.schedule.insert().values(id="x", next_run_time=1764000000.123456, job_state=b"\x80"))


def contents(engine: sa.Engine) -> dict[str, list[tuple]]:
    with engine.connect() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(sa.select(table))), key=str)
            for table in state.metadata.sorted_tables
        }


def test_all_of_it_is_copied_and_numbers_go_on(settings, tmp_path: Path):
    source = state.engine(settings)
    fill(source)
    target = state.engine_at(f"sqlite:///{tmp_path / 'other.db'}")
    assert copy_state(source, target) == 4
    assert contents(target) == contents(source)
    with pytest.raises(InputError, match="rows in"):
        copy_state(source, target)
    with source.begin() as connection:
        for table in reversed(state.metadata.sorted_tables):
            connection.execute(sa.delete(table))
    assert copy_state(target, source) == 4
    assert contents(target) == contents(source)
    with source.begin() as connection:
        user = {"name": "bob", "role": "viewer", "created_us": 1}
        assert connection.execute(state.users.insert().values(**user)).inserted_primary_key[0] == 2


def test_a_backup_holds_the_state_wherever_it_lies(settings, tmp_path: Path):
    with open_writer(settings) as writer:
        writer.seal()
    engine = state.engine(settings)
    fill(engine)
    back_up(settings, tmp_path / "copy")
    copied = sa.create_engine(f"sqlite:///{tmp_path / 'copy' / 'state' / 'state.db'}")
    expected = contents(engine)
    assert {name: rows for name, rows in contents(copied).items() if name != "pins"} == {
        name: rows for name, rows in expected.items() if name != "pins"
    }
    fresh = config.load(tmp_path / "restored", environ={})
    restore(fresh, tmp_path / "copy")
    assert Lake(fresh).lake_version == Lake(settings).lake_version
    restored = state.open_engine(f"sqlite:///{fresh.state_dir / 'state.db'}")
    assert contents(restored)["users"] == expected["users"]


def test_a_url_that_is_none_and_a_server_that_is_down_are_named_without_the_password(tmp_path: Path):
    for url, kind, words in (
        ("mysql://me@host/db", ConfigError, "mysql"),
        ("nonsense", ConfigError, "not a URL"),
        (f"postgresql://me:secret@/db?host={tmp_path}", StoreError, "does not answer"),
    ):
        with pytest.raises(kind, match=words) as caught:
            state.engine_at(url)
        assert "secret" not in str(caught.value)
