"""Jobs: their switches, runs, mails, what was published, and the store of the scheduler."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the tables, and tie reports to the runs that made them."""
    op.add_column("reports", sa.Column("run_id", sa.Integer))
    op.create_index("reports_of_run", "reports", ["run_id"])
    op.create_table(
        "jobs",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("changed_us", sa.BigInteger, nullable=False),
        sa.Column("changed_by", sa.String, nullable=False),
    )
    op.create_table(
        "job_runs",
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
    op.create_table(
        "mails",
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
    op.create_table(
        "publications",
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
    op.create_table(
        "schedule",
        sa.Column("id", sa.Unicode(191), primary_key=True),
        sa.Column("next_run_time", sa.Float(25), index=True),
        sa.Column("job_state", sa.LargeBinary, nullable=False),
    )
