"""Points of every series, baselines, pruned runs, and what agents in the field send."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add a column, indices and tables; what is there stays as it is."""
    # Not by batch mode, which would rebuild the table under its children.
    op.add_column("run", sa.Column("pruned_utc", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_run_project", "run", ["project", "started_utc"])
    op.create_index("ix_launch_case_id", "launch", ["case_id", "run_id"])
    op.create_table(
        "point",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("points_version", sa.BigInteger(), nullable=False),
        sa.Column("started_utc", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Text(), nullable=False),
        sa.Column("p50_us", sa.Double(), nullable=True),
        sa.Column("p50_low_us", sa.Double(), nullable=True),
        sa.Column("p50_high_us", sa.Double(), nullable=True),
        sa.Column("p90_us", sa.Double(), nullable=True),
        sa.Column("mean_us", sa.Double(), nullable=True),
        sa.Column("p50_by_round_us", sa.Text(), nullable=False),
        sa.Column("launches_made", sa.BigInteger(), nullable=False),
        sa.Column("launches_used", sa.BigInteger(), nullable=False),
        sa.Column("stability", sa.Text(), nullable=False),
        sa.Column("coverage", sa.Text(), nullable=True),
        sa.Column("delegated_nodes", sa.BigInteger(), nullable=True),
        sa.Column("total_nodes", sa.BigInteger(), nullable=True),
        sa.Column("numerics", sa.Text(), nullable=True),
        sa.Column("accuracy", sa.Double(), nullable=True),
        sa.Column("accuracy_low", sa.Double(), nullable=True),
        sa.Column("accuracy_high", sa.Double(), nullable=True),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("higher_is_better", sa.Boolean(), nullable=False),
        sa.Column("gates_failed", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("model_sha256", sa.Text(), nullable=True),
        sa.Column("peak_rss_kib", sa.BigInteger(), nullable=True),
        sa.Column("energy_mj_per_invoke", sa.Double(), nullable=True),
        sa.Column("start_c", sa.Double(), nullable=True),
        sa.Column("environment_id", sa.Text(), nullable=True),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("runtime", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "case_id", name=op.f("pk_point")),
        sa.ForeignKeyConstraint(
            ["run_id", "case_id"],
            ["planned_case.run_id", "planned_case.case_id"],
            name=op.f("fk_point_planned_case"),
        ),
    )
    op.create_index("ix_point_case_id", "point", ["case_id", "started_utc"])
    op.create_index("ix_point_started_utc", "point", ["started_utc"])
    op.create_table(
        "baseline",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("made_utc", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("project", "kind", "name", "made_utc", name=op.f("pk_baseline")),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name=op.f("fk_baseline_run")),
    )
    op.create_table(
        "edge_metrics",
        sa.Column("sample_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("device_model", sa.Text(), nullable=True),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("model_sha256", sa.Text(), nullable=False),
        sa.Column("quantization_type", sa.Text(), nullable=False),
        sa.Column("delegate", sa.Text(), nullable=False),
        sa.Column("delegate_verdict", sa.Text(), nullable=True),
        sa.Column("runtime_version", sa.Text(), nullable=True),
        sa.Column("agent_version", sa.Text(), nullable=False),
        sa.Column("threads", sa.BigInteger(), nullable=False),
        sa.Column("sample_count", sa.BigInteger(), nullable=False),
        sa.Column("inference_latency_ms_p50", sa.Double(), nullable=True),
        sa.Column("inference_latency_ms_p90", sa.Double(), nullable=True),
        sa.Column("battery_drain_pct", sa.Double(), nullable=True),
        sa.Column("energy_mj_per_invoke", sa.Double(), nullable=True),
        sa.Column("temperature_c", sa.Double(), nullable=True),
        sa.Column("throttled", sa.Boolean(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("clock_synchronised", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("sample_id", name=op.f("pk_edge_metrics")),
    )
    op.create_index("ix_edge_metrics_device_id", "edge_metrics", ["device_id", "timestamp"])
    op.create_index("ix_edge_metrics_timestamp", "edge_metrics", ["timestamp"])
