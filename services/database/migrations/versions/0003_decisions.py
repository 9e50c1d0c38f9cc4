"""What people decide about suggested matches."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of decisions."""
    op.create_table(
        "match_decision",
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("match_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_match_decision_account_id_account")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_match_decision_job_id_job")),
        sa.PrimaryKeyConstraint("job_id", "match_id", name=op.f("pk_match_decision")),
    )
    op.create_index(op.f("ix_match_decision_account_id"), "match_decision", ["account_id"])


def downgrade() -> None:
    """Take it away."""
    op.drop_index(op.f("ix_match_decision_account_id"), table_name="match_decision")
    op.drop_table("match_decision")
