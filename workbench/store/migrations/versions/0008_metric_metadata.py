"""What senders told of their metrics apart from the samples."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "metric_metadata",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("unit", sa.String, nullable=False),
        sa.Column("help", sa.Text, nullable=False),
        sa.Column("told_us", sa.BigInteger, nullable=False),
    )
