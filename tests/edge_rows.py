"""Rows of edge_metrics for tests, as an agent makes them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from bench.store import StorePlace, open_store
from bench.store.schema import edge_metrics

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def edge_row(**changes: Any) -> dict[str, Any]:
    """One good sample of a phone, but for `changes`."""
    row: dict[str, Any] = {
        "sample_id": str(uuid.uuid4()),
        "device_id": "phone-1",
        "device_model": "Pixel 8",
        "model_name": "mobilenet",
        "model_version": "3",
        "model_sha256": "a" * 64,
        "quantization_type": "int8",
        "delegate": "nnapi",
        "delegate_verdict": "FULL",
        "runtime_version": "benchmark_model 0123, Android 14 AP1A",
        "agent_version": "1",
        "threads": 1,
        "sample_count": 100,
        "inference_latency_ms_p50": 10.0,
        "inference_latency_ms_p90": None,
        "battery_drain_pct": None,
        "energy_mj_per_invoke": None,
        "temperature_c": 31.0,
        "throttled": False,
        "failure": None,
        "simulated": False,
        "timestamp": NOW,
        "clock_synchronised": True,
    }
    assert set(row) == {column.name for column in edge_metrics.columns}
    return {**row, **changes}


def failed(**changes: Any) -> dict[str, Any]:
    """A sample that failed, as of a phone that does not answer."""
    return edge_row(
        **{
            "device_model": None,
            "model_sha256": "",
            "delegate_verdict": None,
            "runtime_version": None,
            "sample_count": 0,
            "inference_latency_ms_p50": None,
            "temperature_c": None,
            "throttled": None,
            "failure": "adb push: device offline",
            **changes,
        }
    )


def put(place: StorePlace, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as the uploader would."""
    with open_store(place, write=True) as store, store._transaction() as connection:
        connection.execute(sa.insert(edge_metrics), list(rows))
