"""Rows policies, and with each report the rows of its publisher."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table; reports that are there were made with all rows."""
    op.create_table(
        "rows_policies",
        sa.Column("subject", sa.String, primary_key=True),
        sa.Column("matchers", sa.String, nullable=False),
        sa.Column("changed_us", sa.BigInteger, nullable=False),
    )
    op.add_column("reports", sa.Column("rows", sa.String, nullable=False, server_default="{}"))
