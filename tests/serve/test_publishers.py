"""A job runs with the rows of who published it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from workbench.errors import Forbidden
from workbench.report import rows_of_publisher
from workbench.serve.rows import set_rows
from workbench.store import state


def test_rows_of_a_publisher(engine):
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
