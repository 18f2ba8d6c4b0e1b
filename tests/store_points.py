"""Points and rows of telemetry for tests of the store."""

from __future__ import annotations

from typing import Any

import store_records as make

from bench.points import Point, PointState
from bench.records import PlannedCase
from bench.store.raw import TABLES, RawRow


def point(of: PlannedCase, **changes: Any) -> Point:
    """What a run in which all went well says of one case."""
    fields: dict[str, Any] = {
        "run_id": of.run_id,
        "case_id": of.case.case_id,
        "started_utc": make.START,
        "state": PointState.MEASURED,
        "reason": "",
        "quantity": "a median of single invokes",
        "p50_us": 1000.0,
        "p50_low_us": 990.0,
        "p50_high_us": 1010.5,
        "p90_us": 1100.0,
        "mean_us": 1001.0,
        "p50_by_round_us": ((0, 1000.0), (1, 1000.5)),
        "launches_made": 3,
        "launches_used": 2,
        "stability": "STABLE",
        "coverage": "FULL",
        "delegated_nodes": 10,
        "total_nodes": 10,
        "numerics": None,
        "accuracy": None,
        "accuracy_low": None,
        "accuracy_high": None,
        "metric": "",
        "higher_is_better": True,
        "gates_failed": (),
        "size_bytes": 40_520,
        "model_sha256": "1" * 64,
        "peak_rss_kib": None,
        "energy_mj_per_invoke": None,
        "start_c": 41.5,
        "environment_id": None,
        "simulated": False,
        "runtime": "ai_edge_litert 2.3.0",
    }
    return Point(**{**fields, **changes})


def edge_row(sample_id: str, **changes: Any) -> RawRow:
    """A row of edge_metrics as it is stored."""
    fields: dict[str, Any] = {
        "sample_id": sample_id,
        "device_id": "gateway-7",
        "device_model": None,
        "model_name": "digits",
        "model_version": "1.4",
        "model_sha256": "1" * 64,
        "quantization_type": "int8",
        "delegate": "xnnpack",
        "delegate_verdict": "FULL",
        "runtime_version": "2.3.0",
        "agent_version": "0.1.0",
        "threads": 2,
        "sample_count": 50,
        "inference_latency_ms_p50": 0.1 + 0.2,
        "inference_latency_ms_p90": 0.5,
        "battery_drain_pct": None,
        "energy_mj_per_invoke": None,
        "temperature_c": 51.0,
        "throttled": False,
        "failure": None,
        "simulated": False,
        "timestamp": make.START,
        "clock_synchronised": True,
    }
    row = {**fields, **changes}
    return tuple(row[column.name] for column in TABLES["edge_metrics"].c)
