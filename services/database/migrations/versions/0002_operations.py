"""What keeps the platform alive: mail, spool, backups, drills, leaders, workers, one-time links."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables of operations."""
    op.create_table(
        "backup",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("slot", sa.String(length=32), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("location", sa.String(length=300), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("manifest_json", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("verified_at", MOMENT, nullable=True),
        sa.Column("marked_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backup")),
        sa.UniqueConstraint("slot", name=op.f("uq_backup_slot")),
    )
    op.create_index(op.f("ix_backup_status_started_at"), "backup", ["status", "started_at"])
    op.create_table(
        "drill",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("backup_id", sa.String(length=32), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drill")),
    )
    op.create_index(op.f("ix_drill_started_at"), "drill", ["started_at"])
    op.create_table(
        "leader",
        sa.Column("duty", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("lease_until", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("duty", name=op.f("pk_leader")),
    )
    op.create_table(
        "mail",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("message_id", sa.String(length=200), nullable=False),
        sa.Column("recipient", sa.String(length=254), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", MOMENT, nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=True),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("give_up_at", MOMENT, nullable=False),
        sa.Column("request_id", sa.String(length=32), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("sent_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail")),
        sa.UniqueConstraint("key", name=op.f("uq_mail_key")),
    )
    op.create_index(op.f("ix_mail_status_next_at"), "mail", ["status", "next_at"])
    op.create_table(
        "spooled_object",
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("node", sa.String(length=100), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", MOMENT, nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("key", "node", name=op.f("pk_spooled_object")),
    )
    op.create_index(op.f("ix_spooled_object_node_next_at"), "spooled_object", ["node", "next_at"])
    op.create_table(
        "worker",
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("busy", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker")),
    )
    op.create_index(op.f("ix_worker_seen_at"), "worker", ["seen_at"])
    op.create_table(
        "rolling_sample",
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("instance", sa.String(length=32), nullable=False),
        sa.Column("counts_json", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("at", "instance", name=op.f("pk_rolling_sample")),
    )
    op.create_table(
        "account_token",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_account_token_account_id_account")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_account_token")),
    )
    op.create_index(op.f("ix_account_token_account_id"), "account_token", ["account_id"])
    op.create_table(
        "rollout",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("slot", sa.String(length=16), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("usual_error_rate", sa.Double(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("phase_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollout")),
    )
    op.create_index(op.f("ix_rollout_started_at"), "rollout", ["started_at"])
    op.create_table(
        "rollout_reading",
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("slots_json", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("database_cpu", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("at", name=op.f("pk_rollout_reading")),
    )
    op.create_table(
        "feedback",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("workspace_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("session_id", sa.String(length=32), nullable=False),
        sa.Column("page", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("rating", sa.Integer(), nullable=False),
        sa.Column("sentence", sa.String(length=1000), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_feedback_account_id_account")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name=op.f("fk_feedback_workspace_id_workspace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback")),
    )
    op.create_index(op.f("ix_feedback_workspace_id_at"), "feedback", ["workspace_id", "at"])
    op.add_column("account", sa.Column("email_confirmed_at", MOMENT, nullable=True))
    op.add_column("account", sa.Column("waiting", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("account", sa.Column("totp_secret", sa.Text(), nullable=True))
    op.add_column("account", sa.Column("totp_since", MOMENT, nullable=True))
    op.add_column("account", sa.Column("totp_last_step", sa.BigInteger(), server_default="0", nullable=False))
    op.create_table(
        "recovery_code",
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_recovery_code_account_id_account")),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_recovery_code")),
    )
    op.create_index(op.f("ix_recovery_code_account_id"), "recovery_code", ["account_id"])
    op.create_table(
        "api_token",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("scopes", sa.String(length=100), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_api_token_account_id_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_token_token_hash")),
    )
    op.create_index(op.f("ix_api_token_account_id"), "api_token", ["account_id"])
    op.create_table(
        "idempotency_key",
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("target_id", sa.String(length=32), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_until", MOMENT, nullable=False),
        sa.Column("answer_json", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_idempotency_key_account_id_account")),
        sa.PrimaryKeyConstraint("account_id", "key", name=op.f("pk_idempotency_key")),
    )
    op.create_index(op.f("ix_idempotency_key_expires_at"), "idempotency_key", ["expires_at"])
    for column in ("number_format", "date_format"):
        op.add_column("account", sa.Column(column, sa.String(length=16), server_default="", nullable=False))
    op.add_column("session", sa.Column("second_factor", sa.Boolean(), server_default=sa.false(), nullable=False))
    for column in ("awaits_code", "second_factor"):
        op.add_column("sign_in_ticket", sa.Column(column, sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(op.f("ix_sign_in_ticket_account_id"), "sign_in_ticket", ["account_id"])
    op.create_index(op.f("ix_sign_in_ticket_expires_at"), "sign_in_ticket", ["expires_at"])
    op.add_column("job", sa.Column("request_id", sa.String(length=32), nullable=True))
    op.create_index(op.f("ix_job_finished_at"), "job", ["finished_at"])
    op.create_index(op.f("ix_file_uploaded_by"), "file", ["uploaded_by"])
    op.create_index(op.f("ix_file_workspace_id_sha256"), "file", ["workspace_id", "sha256"])
    for table in ("reconciliation", "job"):
        op.add_column(table, sa.Column("more_files_json", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("reconciliation", sa.Column("template_id", sa.String(length=32), nullable=True))
    op.add_column("plan", sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    for column in ("earlier_json", "seen_json"):
        op.add_column("plan", sa.Column(column, sa.JSON(none_as_null=True), nullable=True))
    op.create_index(op.f("ix_account_waiting_created_at"), "account", ["waiting", "created_at"])
    op.create_index(op.f("ix_reconciliation_created_by"), "reconciliation", ["created_by"])
    op.create_index(op.f("ix_plan_created_by"), "plan", ["created_by"])
    op.create_index(op.f("ix_job_created_by"), "job", ["created_by"])
    op.create_index(op.f("ix_feedback_account_id"), "feedback", ["account_id"])
    op.create_index(op.f("ix_backup_started_at_id"), "backup", ["started_at", "id"])


def downgrade() -> None:
    """Take them away."""
    op.drop_index(op.f("ix_backup_started_at_id"), table_name="backup")
    op.drop_index(op.f("ix_feedback_account_id"), table_name="feedback")
    op.drop_index(op.f("ix_job_created_by"), table_name="job")
    op.drop_index(op.f("ix_plan_created_by"), table_name="plan")
    op.drop_index(op.f("ix_reconciliation_created_by"), table_name="reconciliation")
    op.drop_index(op.f("ix_account_waiting_created_at"), table_name="account")
    for column in ("seen_json", "earlier_json", "version"):
        op.drop_column("plan", column)
    op.drop_column("reconciliation", "template_id")
    for table in ("job", "reconciliation"):
        op.drop_column(table, "more_files_json")
    op.drop_index(op.f("ix_file_workspace_id_sha256"), table_name="file")
    op.drop_index(op.f("ix_file_uploaded_by"), table_name="file")
    op.drop_index(op.f("ix_job_finished_at"), table_name="job")
    op.drop_column("job", "request_id")
    op.drop_index(op.f("ix_sign_in_ticket_expires_at"), table_name="sign_in_ticket")
    op.drop_index(op.f("ix_sign_in_ticket_account_id"), table_name="sign_in_ticket")
    for column in ("second_factor", "awaits_code"):
        op.drop_column("sign_in_ticket", column)
    op.drop_column("session", "second_factor")
    for column in ("date_format", "number_format"):
        op.drop_column("account", column)
    op.drop_index(op.f("ix_idempotency_key_expires_at"), table_name="idempotency_key")
    op.drop_table("idempotency_key")
    op.drop_index(op.f("ix_api_token_account_id"), table_name="api_token")
    op.drop_table("api_token")
    op.drop_index(op.f("ix_recovery_code_account_id"), table_name="recovery_code")
    op.drop_table("recovery_code")
    for column in ("totp_last_step", "totp_since", "totp_secret"):
        op.drop_column("account", column)
    op.drop_column("account", "waiting")
    op.drop_column("account", "email_confirmed_at")
    op.drop_index(op.f("ix_feedback_workspace_id_at"), table_name="feedback")
    op.drop_table("feedback")
    op.drop_table("rollout_reading")
    op.drop_index(op.f("ix_rollout_started_at"), table_name="rollout")
    op.drop_table("rollout")
    op.drop_index(op.f("ix_account_token_account_id"), table_name="account_token")
    op.drop_table("account_token")
    op.drop_table("rolling_sample")
    op.drop_index(op.f("ix_worker_seen_at"), table_name="worker")
    op.drop_table("worker")
    op.drop_index(op.f("ix_spooled_object_node_next_at"), table_name="spooled_object")
    op.drop_table("spooled_object")
    op.drop_index(op.f("ix_mail_status_next_at"), table_name="mail")
    op.drop_table("mail")
    op.drop_table("leader")
    op.drop_index(op.f("ix_drill_started_at"), table_name="drill")
    op.drop_table("drill")
    op.drop_index(op.f("ix_backup_status_started_at"), table_name="backup")
    op.drop_table("backup")
