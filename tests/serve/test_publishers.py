"""A job runs with the rows of who published it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from conftest import need

from workbench.errors import Forbidden
from workbench.report import rows_of_publisher
from workbench.sandbox import available
from workbench.serve.access.rows import set_rows
from workbench.store import state


def test_rows_of_a_publisher(engine):
    need(not available(), "sandboxes: bubblewrap and user namespaces")
    with engine.begin() as connection:
        connection.execute(sa.insert(state.users).values(name="ann", role="analyst", created_us=1))
        connection.execute(sa.insert(state.users).values(name="gone", role="analyst", created_us=1, disabled_us=2))
    assert rows_of_publisher(engine, "") == rows_of_publisher(engine, "ann") == "{}"
    set_rows(engine, "role:analyst", '{domain="arts"}')
    set_rows(engine, "user:ann", '{job="a"}')
    assert rows_of_publisher(engine, "ann") == '{domain="arts", job="a"}'
    for name in ("gone", "nobody"):
        with pytest.raises(Forbidden):
            rows_of_publisher(engine, name)


def test_without_sandboxes_only_what_an_admin_wrote_runs_by_itself(engine, monkeypatch):
    monkeypatch.setattr("workbench.report.jobs.publisher.available", lambda: "There is no bubblewrap.")
    with engine.begin() as connection:
        connection.execute(sa.insert(state.users).values(name="ann", role="analyst", created_us=1))
        connection.execute(sa.insert(state.users).values(name="adam", role="admin", created_us=1))
    assert rows_of_publisher(engine, "adam") == "{}"
    with pytest.raises(Forbidden, match=r"in a sandbox alone. There is no bubblewrap"):
        rows_of_publisher(engine, "ann")
