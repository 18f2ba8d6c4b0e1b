"""The tables, in SQL that SQLite and PostgreSQL share.

Append-only: only run.status and run.finished_utc ever change, points are made again where
their rules change, and pruning takes out whole runs but for their points. Migrations repeat
this schema step by step; a test holds the two together.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from bench.store.codec import escape_text, unescape_text


class AnyText(sa.types.TypeDecorator[str]):
    """Text with any code point, NUL and lone surrogates included."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else escape_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else unescape_text(value)


class JsonText(sa.types.TypeDecorator[Any]):
    """JSON made by codec.json_text; parsed when read."""

    impl = sa.Text
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware datetime, kept in UTC: SQLite itself would drop the zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None or value.utcoffset() is None:
            raise ValueError(f"{value.isoformat()} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, AnyText, nullable=null)


def _json(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, JsonText, nullable=null)


def _integer(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null)


def _number(name: str, *, null: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=null)


def _failure() -> tuple[sa.Column[str], ...]:
    return tuple(_text(f"failure_{part}", null=True) for part in ("kind", "message", "log"))


run = sa.Table(
    "run",
    metadata,
    _text("run_id"),
    _integer("record_version"),
    _text("project"),
    _text("status"),
    sa.Column("started_utc", UtcDateTime, nullable=False),
    sa.Column("finished_utc", UtcDateTime, nullable=True),
    _json("plan"),
    _text("plan_sha256"),
    _text("root"),
    _integer("seed"),
    _text("edgebench_version"),
    _json("host"),
    sa.Column("simulated", sa.Boolean, nullable=False),
    # When its launches were taken out, and only its points were left.
    sa.Column("pruned_utc", UtcDateTime, nullable=True),
    sa.PrimaryKeyConstraint("run_id"),
    sa.Index("ix_run_project", "project", "started_utc"),
)

case = sa.Table(
    "case",
    metadata,
    _text("case_id"),
    _json("spec"),
    _text("project"),
    _text("model"),
    _text("variant"),
    _text("delegate"),
    _integer("threads"),
    _text("runner"),
    _text("device"),
    sa.PrimaryKeyConstraint("case_id"),
)

planned_case = sa.Table(
    "planned_case",
    metadata,
    _text("run_id"),
    _text("case_id"),
    _integer("position"),
    _text("reason", null=True),
    sa.PrimaryKeyConstraint("run_id", "case_id"),
    sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
    sa.ForeignKeyConstraint(["case_id"], ["case.case_id"]),
)

variant = sa.Table(
    "variant",
    metadata,
    _text("run_id"),
    _text("model"),
    _text("variant"),
    _integer("position"),
    _text("path", null=True),
    _text("sha256", null=True),
    _integer("size_bytes", null=True),
    _json("provenance"),
    *_failure(),
    sa.PrimaryKeyConstraint("run_id", "model", "variant"),
    sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
)

evaluation = sa.Table(
    "evaluation",
    metadata,
    _text("run_id"),
    _text("model"),
    _text("variant"),
    _text("kernels"),
    _text("metric"),
    _integer("position"),
    _number("value", null=True),
    sa.Column("predictions", sa.LargeBinary, nullable=True),
    # Read and never written: what `statistics` is since revision 0002.
    sa.Column("correct", sa.LargeBinary, nullable=True),
    _text("holdout_sha256"),
    _json("runtime"),
    *_failure(),
    _integer("k", null=True),
    sa.Column("higher_is_better", sa.Boolean, nullable=False),
    sa.Column("labels", sa.LargeBinary, nullable=True),
    sa.Column("statistics", sa.LargeBinary, nullable=True),
    _integer("statistics_width", null=True),
    sa.PrimaryKeyConstraint("run_id", "model", "variant", "kernels", "metric"),
    sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
)

environment = sa.Table(
    "environment",
    metadata,
    _text("environment_id"),
    _json("facts"),
    sa.PrimaryKeyConstraint("environment_id"),
)

# From sample_count on, the columns are those of a Measurement and NULL without one.
launch = sa.Table(
    "launch",
    metadata,
    _text("launch_id"),
    _text("run_id"),
    _text("case_id"),
    _integer("round_index"),
    _integer("position"),
    _integer("attempt"),
    sa.Column("started_utc", UtcDateTime, nullable=False),
    _number("duration_s"),
    _text("outcome"),
    *_failure(),
    _json("taints"),
    _json("conditions"),
    _text("environment_id"),
    _json("argv"),
    _text("stderr_tail"),
    _integer("sample_count", null=True),
    _integer("stats_version", null=True),
    _integer("invokes_per_sample", null=True),
    _number("p50_us", null=True),
    _number("p90_us", null=True),
    _number("p95_us", null=True),
    _text("p90_reason", null=True),
    _number("mean_us", null=True),
    _number("min_us", null=True),
    _number("max_us", null=True),
    _number("first_inference_us", null=True),
    _number("load_us", null=True),
    _number("allocate_us", null=True),
    _number("input_copy_us", null=True),
    _number("output_copy_us", null=True),
    _number("cpu_us_per_invoke", null=True),
    _number("timer_cost_ns", null=True),
    sa.Column("steady", sa.Boolean, nullable=True),
    _number("warmup_s", null=True),
    _integer("warmup_cut", null=True),
    _integer("peak_rss_kib", null=True),
    _integer("host_wall_ns", null=True),
    _integer("host_process_cpu_ns", null=True),
    _integer("host_busy_ns", null=True),
    _integer("host_steal_ns", null=True),
    _text("delegation_requested", null=True),
    _text("delegation_verdict", null=True),
    _integer("delegated_nodes", null=True),
    _integer("total_nodes", null=True),
    _integer("partitions", null=True),
    _json("fallback_ops", null=True),
    _json("evidence", null=True),
    _json("runtime", null=True),
    _json("inputs", null=True),
    _json("digest", null=True),
    _text("p50_source", null=True),
    _text("p90_source", null=True),
    _number("p90_low_us", null=True),
    _number("p90_high_us", null=True),
    _number("resolution_us", null=True),
    _number("init_us", null=True),
    _number("energy_mj_per_invoke", null=True),
    _text("energy_reason", null=True),
    _json("unsupported", null=True),
    _json("accelerators", null=True),
    sa.PrimaryKeyConstraint("launch_id"),
    sa.UniqueConstraint("run_id", "case_id", "round_index", "attempt"),
    sa.ForeignKeyConstraint(["run_id", "case_id"], ["planned_case.run_id", "planned_case.case_id"]),
    sa.ForeignKeyConstraint(["environment_id"], ["environment.environment_id"]),
    sa.Index("ix_launch_case_id", "case_id", "run_id"),
)

launch_samples = sa.Table(
    "launch_samples",
    metadata,
    _text("launch_id"),
    sa.Column("samples_ns", sa.LargeBinary, nullable=False),
    sa.Column("warmup_ns", sa.LargeBinary, nullable=False),
    sa.PrimaryKeyConstraint("launch_id"),
    sa.ForeignKeyConstraint(["launch_id"], ["launch.launch_id"]),
)

# Launches beside the timed ones. `profile` and `numerics` are compressed JSON.
check_launch = sa.Table(
    "check_launch",
    metadata,
    _text("launch_id"),
    _text("run_id"),
    _text("case_id"),
    _text("purpose"),
    _integer("attempt"),
    sa.Column("started_utc", UtcDateTime, nullable=False),
    _number("duration_s"),
    _text("outcome"),
    *_failure(),
    _json("conditions"),
    _text("environment_id"),
    _json("argv"),
    _text("stderr_tail"),
    _json("delegation", null=True),
    sa.Column("profile", sa.LargeBinary, nullable=True),
    sa.Column("numerics", sa.LargeBinary, nullable=True),
    sa.PrimaryKeyConstraint("launch_id"),
    sa.UniqueConstraint("run_id", "case_id", "purpose", "attempt"),
    sa.ForeignKeyConstraint(["run_id", "case_id"], ["planned_case.run_id", "planned_case.case_id"]),
    sa.ForeignKeyConstraint(["environment_id"], ["environment.environment_id"]),
)

artifact = sa.Table(
    "artifact",
    metadata,
    _text("launch_id"),
    _text("name"),
    _integer("position"),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.PrimaryKeyConstraint("launch_id", "name"),
    sa.ForeignKeyConstraint(["launch_id"], ["check_launch.launch_id"]),
)

# Derived from launches: bench.points.Point, by rules of points_version.
point = sa.Table(
    "point",
    metadata,
    _text("run_id"),
    _text("case_id"),
    _integer("points_version"),
    sa.Column("started_utc", UtcDateTime, nullable=False),
    _text("state"),
    _text("reason"),
    _text("quantity"),
    _number("p50_us", null=True),
    _number("p50_low_us", null=True),
    _number("p50_high_us", null=True),
    _number("p90_us", null=True),
    _number("mean_us", null=True),
    _json("p50_by_round_us"),
    _integer("launches_made"),
    _integer("launches_used"),
    _text("stability"),
    _text("coverage", null=True),
    _integer("delegated_nodes", null=True),
    _integer("total_nodes", null=True),
    _text("numerics", null=True),
    _number("accuracy", null=True),
    _number("accuracy_low", null=True),
    _number("accuracy_high", null=True),
    _text("metric"),
    sa.Column("higher_is_better", sa.Boolean, nullable=False),
    _json("gates_failed"),
    _integer("size_bytes", null=True),
    _text("model_sha256", null=True),
    _integer("peak_rss_kib", null=True),
    _number("energy_mj_per_invoke", null=True),
    _number("start_c", null=True),
    _text("environment_id", null=True),
    sa.Column("simulated", sa.Boolean, nullable=False),
    _text("runtime"),
    sa.PrimaryKeyConstraint("run_id", "case_id"),
    sa.ForeignKeyConstraint(["run_id", "case_id"], ["planned_case.run_id", "planned_case.case_id"]),
    sa.Index("ix_point_case_id", "case_id", "started_utc"),
    sa.Index("ix_point_started_utc", "started_utc"),
)

# Of one project, kind and name the newest row counts; without a run it is unpinned.
baseline = sa.Table(
    "baseline",
    metadata,
    _text("project"),
    _text("kind"),
    _text("name"),
    sa.Column("made_utc", UtcDateTime, nullable=False),
    _text("run_id", null=True),
    sa.PrimaryKeyConstraint("project", "kind", "name", "made_utc"),
    sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
)

# What agents in the field send; each row is one short measurement.
edge_metrics = sa.Table(
    "edge_metrics",
    metadata,
    _text("sample_id"),
    _text("device_id"),
    _text("device_model", null=True),
    _text("model_name"),
    _text("model_version"),
    _text("model_sha256"),
    _text("quantization_type"),
    _text("delegate"),
    _text("delegate_verdict", null=True),
    _text("runtime_version", null=True),
    _text("agent_version"),
    _integer("threads"),
    _integer("sample_count"),
    _number("inference_latency_ms_p50", null=True),
    _number("inference_latency_ms_p90", null=True),
    _number("battery_drain_pct", null=True),
    _number("energy_mj_per_invoke", null=True),
    _number("temperature_c", null=True),
    sa.Column("throttled", sa.Boolean, nullable=True),
    _text("failure", null=True),
    sa.Column("simulated", sa.Boolean, nullable=False),
    sa.Column("timestamp", UtcDateTime, nullable=False),
    # Whether the device's clock could be trusted then.
    sa.Column("clock_synchronised", sa.Boolean, nullable=True),
    sa.PrimaryKeyConstraint("sample_id"),
    sa.Index("ix_edge_metrics_device_id", "device_id", "timestamp"),
    sa.Index("ix_edge_metrics_timestamp", "timestamp"),
)
