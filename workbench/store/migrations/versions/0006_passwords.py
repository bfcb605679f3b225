"""Passwords, people known from an identity provider, and how each session came to be."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns; a session from before counts as signed in when it was made."""
    op.add_column("users", sa.Column("password", sa.String))
    op.add_column("users", sa.Column("subject", sa.String))
    op.create_index("users_subject", "users", ["subject"], unique=True)
    op.add_column("sessions", sa.Column("signed_in_us", sa.BigInteger))
    for name in ("method", "agent", "address"):
        op.add_column("sessions", sa.Column(name, sa.String))
    op.execute("UPDATE sessions SET signed_in_us = created_us")
