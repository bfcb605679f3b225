"""The snapshots that boards are shown as."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table of snapshots."""
    op.create_table(
        "snapshots",
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
