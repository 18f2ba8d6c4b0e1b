"""Launches beside the timed ones and what they left; what a delegate refused, and why."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add columns and tables; what is there stays as it is."""
    with op.batch_alter_table("launch") as batch:
        batch.add_column(sa.Column("unsupported", sa.Text(), nullable=True))
        batch.add_column(sa.Column("accelerators", sa.Text(), nullable=True))
    op.create_table(
        "check_launch",
        sa.Column("launch_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("started_utc", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_s", sa.Double(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("failure_kind", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("failure_log", sa.Text(), nullable=True),
        sa.Column("conditions", sa.Text(), nullable=False),
        sa.Column("environment_id", sa.Text(), nullable=False),
        sa.Column("argv", sa.Text(), nullable=False),
        sa.Column("stderr_tail", sa.Text(), nullable=False),
        sa.Column("delegation", sa.Text(), nullable=True),
        sa.Column("profile", sa.LargeBinary(), nullable=True),
        sa.Column("numerics", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("launch_id", name=op.f("pk_check_launch")),
        sa.UniqueConstraint(
            "run_id", "case_id", "purpose", "attempt", name=op.f("uq_check_launch")
        ),
        sa.ForeignKeyConstraint(
            ["run_id", "case_id"],
            ["planned_case.run_id", "planned_case.case_id"],
            name=op.f("fk_check_launch_planned_case"),
        ),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.environment_id"],
            name=op.f("fk_check_launch_environment"),
        ),
    )
    op.create_table(
        "artifact",
        sa.Column("launch_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("launch_id", "name", name=op.f("pk_artifact")),
        sa.ForeignKeyConstraint(
            ["launch_id"], ["check_launch.launch_id"], name=op.f("fk_artifact_check_launch")
        ),
    )
