"""Records for tests: right in every field, changed where a test says so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from bench.delegation.model import Coverage, Delegation
from bench.identity import Case, DelegateSpec, launch_id
from bench.records import Failure, HostLoad, LaunchRecord, Measurement, Outcome

RUN_ID = "01939f3a-0000-7000-8000-000000000000"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def case(
    variant: str = "fp32", delegate: str = "xnnpack", threads: int = 1, device: str = "local"
) -> Case:
    return Case("p", "m", variant, DelegateSpec(delegate), threads, "invoke_loop", device)


def measurement(p50_us: float = 1000.0, **changes: Any) -> Measurement:
    samples = np.full(100, round(p50_us * 1000), dtype=np.int64)
    fields: dict[str, Any] = {
        "samples_ns": samples,
        "warmup_ns": samples[:20],
        "count": 100,
        "stats_version": 1,
        "invokes_per_sample": 1,
        "p50_us": p50_us,
        "p90_us": p50_us * 1.1,
        "p95_us": p50_us * 1.2,
        "p90_reason": None,
        "mean_us": p50_us,
        "min_us": p50_us,
        "max_us": p50_us,
        "first_inference_us": p50_us * 2,
        "load_us": 100.0,
        "allocate_us": 200.0,
        "input_copy_us": 1.0,
        "output_copy_us": 1.0,
        "cpu_us_per_invoke": p50_us,
        "timer_cost_ns": 100.0,
        "steady": True,
        "warmup_s": 1.0,
        "warmup_cut": 2,
        "peak_rss_kib": 50_000,
        "load": HostLoad(10**9, 10**9, 10**9, 0),
        "delegation": Delegation("xnnpack", Coverage.FULL, 10, 10, 1),
        "runtime": {"name": "ai_edge_litert", "version": "2.3.0"},
        "inputs": {"source": "seed", "sha256": "0" * 64},
    }
    return Measurement(**{**fields, **changes})


def launch(
    of: Case | None = None,
    *,
    index: int = 0,
    attempt: int = 0,
    position: int = 0,
    taints: tuple[str, ...] = (),
    outcome: Outcome = Outcome.OK,
    p50_us: float = 1000.0,
    environment: Mapping[str, Any] | None = None,
    measured: Measurement | None = None,
) -> LaunchRecord:
    which = of or case()
    ok = outcome is Outcome.OK
    return LaunchRecord(
        launch_id=launch_id(RUN_ID, which.case_id, index, attempt),
        run_id=RUN_ID,
        case_id=which.case_id,
        index=index,
        position=position,
        attempt=attempt,
        started_utc=NOW,
        duration_s=1.5,
        outcome=outcome,
        measurement=(measured or measurement(p50_us)) if ok else None,
        failure=None if ok else Failure("crash", "the runtime aborted (SIGABRT)"),
        taints=taints,
        conditions={"before": None, "after": None},
        environment=environment or {"model_sha256": "0" * 64},
        argv=("python3", "invoke_loop.py", "spec.json"),
    )
