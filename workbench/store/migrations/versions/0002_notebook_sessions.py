"""Sessions of the notebook origin, which end with the session of the main one, and the tickets that begin them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the parent of a session, and the table of tickets."""
    op.add_column("sessions", sa.Column("parent", sa.String))
    op.create_table(
        "tickets",
        sa.Column("digest", sa.String, primary_key=True),
        sa.Column("session", sa.String, nullable=False),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
    )
