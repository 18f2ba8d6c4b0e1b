"""First schema: runs, cases, variants, evaluations, environments, launches, samples."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table of an empty store."""
    op.create_table(
        "case",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("delegate", sa.Text(), nullable=False),
        sa.Column("threads", sa.BigInteger(), nullable=False),
        sa.Column("runner", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_case")),
    )
    op.create_table(
        "environment",
        sa.Column("environment_id", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", name=op.f("pk_environment")),
    )
    op.create_table(
        "run",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("record_version", sa.BigInteger(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_utc", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_utc", sa.DateTime(timezone=True), nullable=True),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("plan_sha256", sa.Text(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("edgebench_version", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run")),
    )
    op.create_table(
        "evaluation",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("kernels", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("predictions", sa.LargeBinary(), nullable=True),
        sa.Column("correct", sa.LargeBinary(), nullable=True),
        sa.Column("holdout_sha256", sa.Text(), nullable=False),
        sa.Column("runtime", sa.Text(), nullable=False),
        sa.Column("failure_kind", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("failure_log", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name=op.f("fk_evaluation_run")),
        sa.PrimaryKeyConstraint(
            "run_id", "model", "variant", "kernels", "metric", name=op.f("pk_evaluation")
        ),
    )
    op.create_table(
        "planned_case",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["case.case_id"], name=op.f("fk_planned_case_case")),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name=op.f("fk_planned_case_run")),
        sa.PrimaryKeyConstraint("run_id", "case_id", name=op.f("pk_planned_case")),
    )
    op.create_table(
        "variant",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("provenance", sa.Text(), nullable=False),
        sa.Column("failure_kind", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("failure_log", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name=op.f("fk_variant_run")),
        sa.PrimaryKeyConstraint("run_id", "model", "variant", name=op.f("pk_variant")),
    )
    op.create_table(
        "launch",
        sa.Column("launch_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("round_index", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("started_utc", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_s", sa.Double(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("failure_kind", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("failure_log", sa.Text(), nullable=True),
        sa.Column("taints", sa.Text(), nullable=False),
        sa.Column("conditions", sa.Text(), nullable=False),
        sa.Column("environment_id", sa.Text(), nullable=False),
        sa.Column("argv", sa.Text(), nullable=False),
        sa.Column("stderr_tail", sa.Text(), nullable=False),
        sa.Column("sample_count", sa.BigInteger(), nullable=True),
        sa.Column("stats_version", sa.BigInteger(), nullable=True),
        sa.Column("invokes_per_sample", sa.BigInteger(), nullable=True),
        sa.Column("p50_us", sa.Double(), nullable=True),
        sa.Column("p90_us", sa.Double(), nullable=True),
        sa.Column("p95_us", sa.Double(), nullable=True),
        sa.Column("p90_reason", sa.Text(), nullable=True),
        sa.Column("mean_us", sa.Double(), nullable=True),
        sa.Column("min_us", sa.Double(), nullable=True),
        sa.Column("max_us", sa.Double(), nullable=True),
        sa.Column("first_inference_us", sa.Double(), nullable=True),
        sa.Column("load_us", sa.Double(), nullable=True),
        sa.Column("allocate_us", sa.Double(), nullable=True),
        sa.Column("input_copy_us", sa.Double(), nullable=True),
        sa.Column("output_copy_us", sa.Double(), nullable=True),
        sa.Column("cpu_us_per_invoke", sa.Double(), nullable=True),
        sa.Column("timer_cost_ns", sa.Double(), nullable=True),
        sa.Column("steady", sa.Boolean(), nullable=True),
        sa.Column("warmup_s", sa.Double(), nullable=True),
        sa.Column("warmup_cut", sa.BigInteger(), nullable=True),
        sa.Column("peak_rss_kib", sa.BigInteger(), nullable=True),
        sa.Column("host_wall_ns", sa.BigInteger(), nullable=True),
        sa.Column("host_process_cpu_ns", sa.BigInteger(), nullable=True),
        sa.Column("host_busy_ns", sa.BigInteger(), nullable=True),
        sa.Column("host_steal_ns", sa.BigInteger(), nullable=True),
        sa.Column("delegation_requested", sa.Text(), nullable=True),
        sa.Column("delegation_verdict", sa.Text(), nullable=True),
        sa.Column("delegated_nodes", sa.BigInteger(), nullable=True),
        sa.Column("total_nodes", sa.BigInteger(), nullable=True),
        sa.Column("partitions", sa.BigInteger(), nullable=True),
        sa.Column("fallback_ops", sa.Text(), nullable=True),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.Column("runtime", sa.Text(), nullable=True),
        sa.Column("inputs", sa.Text(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"], ["environment.environment_id"], name=op.f("fk_launch_environment")
        ),
        sa.ForeignKeyConstraint(
            ["run_id", "case_id"],
            ["planned_case.run_id", "planned_case.case_id"],
            name=op.f("fk_launch_planned_case"),
        ),
        sa.PrimaryKeyConstraint("launch_id", name=op.f("pk_launch")),
        sa.UniqueConstraint("run_id", "case_id", "round_index", "attempt", name=op.f("uq_launch")),
    )
    op.create_table(
        "launch_samples",
        sa.Column("launch_id", sa.Text(), nullable=False),
        sa.Column("samples_ns", sa.LargeBinary(), nullable=False),
        sa.Column("warmup_ns", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["launch_id"], ["launch.launch_id"], name=op.f("fk_launch_samples_launch")
        ),
        sa.PrimaryKeyConstraint("launch_id", name=op.f("pk_launch_samples")),
    )
