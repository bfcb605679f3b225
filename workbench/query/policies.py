"""Rows policies as the state keeps them: `role:ROLE` or `user:ID` -> label matchers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from workbench.query.matchers import Matchers, canonical, parse_matchers

if TYPE_CHECKING:
    import sqlalchemy as sa


def read_policies(engine: sa.Engine) -> dict[str, Matchers]:
    """Every policy by its subject."""
    import sqlalchemy as sa

    from workbench.store import state

    with engine.connect() as connection:
        rows = connection.execute(sa.select(state.rows_policies.c.subject, state.rows_policies.c.matchers))
        return {row.subject: parse_matchers(row.matchers) for row in rows}


def policy_of(policies: Mapping[str, Matchers], role: str, person: str) -> Matchers:
    """What the rows of a person (`user:3`, `token:1`) of a role have to meet; empty where nothing limits him."""
    found = (policies.get(f"role:{role}", ()), policies.get(person, ()))
    return canonical(one for matchers in found for one in matchers)
