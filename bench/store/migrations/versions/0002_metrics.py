"""Evaluations by any metric: its parameters, its statistics per sample, and the labels."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add columns; what is there was judged by top-1 and stays as it is."""
    with op.batch_alter_table("evaluation") as batch:
        batch.add_column(sa.Column("k", sa.BigInteger(), nullable=True))
        batch.add_column(
            sa.Column("higher_is_better", sa.Boolean(), nullable=False, server_default=sa.true())
        )
        batch.add_column(sa.Column("labels", sa.LargeBinary(), nullable=True))
        batch.add_column(sa.Column("statistics", sa.LargeBinary(), nullable=True))
        batch.add_column(sa.Column("statistics_width", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("evaluation") as batch:
        batch.alter_column("higher_is_better", server_default=None)
