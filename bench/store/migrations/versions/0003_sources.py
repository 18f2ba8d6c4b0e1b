"""Launches by any runner: where a percentile comes from, its resolution, energy."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add columns; what is there was computed from samples in whole ns."""
    with op.batch_alter_table("launch") as batch:
        batch.add_column(sa.Column("p50_source", sa.Text(), nullable=True))
        batch.add_column(sa.Column("p90_source", sa.Text(), nullable=True))
        batch.add_column(sa.Column("p90_low_us", sa.Double(), nullable=True))
        batch.add_column(sa.Column("p90_high_us", sa.Double(), nullable=True))
        batch.add_column(sa.Column("resolution_us", sa.Double(), nullable=True))
        batch.add_column(sa.Column("init_us", sa.Double(), nullable=True))
        batch.add_column(sa.Column("energy_mj_per_invoke", sa.Double(), nullable=True))
        batch.add_column(sa.Column("energy_reason", sa.Text(), nullable=True))
    op.execute(
        "UPDATE launch SET p50_source = 'samples', p90_source = 'samples', resolution_us = 0.001"
        " WHERE sample_count IS NOT NULL"
    )
