"""The columns of every frame, and values to columns: missing is NA, times are UTC, names are
categories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
import pandas as pd


class Column(StrEnum):
    """How the values of a column are held.

    NAME: text of which there are few, as a category. TEXT: any text. INTEGER and FLAG may be
    missing (Int64, boolean). NUMBER: float64, NaN where missing. TIME: datetime64[us, UTC].
    """

    NAME = "name"
    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "flag"
    TIME = "time"


Columns: TypeAlias = dict[str, Column]


NAME, TEXT, INTEGER = Column.NAME, Column.TEXT, Column.INTEGER
NUMBER, FLAG, TIME = Column.NUMBER, Column.FLAG, Column.TIME

CASE: Columns = {
    "run_id": NAME,
    "case_id": NAME,
    "project": NAME,
    "model": NAME,
    "variant": NAME,
    "delegate": NAME,
    "threads": INTEGER,
    "runner": NAME,
    "device": NAME,
    "simulated": FLAG,
}
RUNS: Columns = {
    "run_id": TEXT,
    "project": NAME,
    "status": NAME,
    "started_utc": TIME,
    "finished_utc": TIME,
    "edgebench_version": NAME,
    "seed": INTEGER,
    "plan_sha256": NAME,
    "root": TEXT,
    "cases": INTEGER,
    "launches": INTEGER,
    "pruned_utc": TIME,
    "simulated": FLAG,
}
POINT: Columns = {
    "started_utc": TIME,
    "state": NAME,
    "reason": TEXT,
    "quantity": NAME,
    "p50_us": NUMBER,
    "p50_low_us": NUMBER,
    "p50_high_us": NUMBER,
    "p90_us": NUMBER,
    "mean_us": NUMBER,
    "launches_made": INTEGER,
    "launches_used": INTEGER,
    "stability": NAME,
    "coverage": NAME,
    "delegated_nodes": INTEGER,
    "total_nodes": INTEGER,
    "numerics": NAME,
    "accuracy": NUMBER,
    "accuracy_low": NUMBER,
    "accuracy_high": NUMBER,
    "metric": NAME,
    "higher_is_better": FLAG,
    "gates_failed": TEXT,
    "size_bytes": INTEGER,
    "model_sha256": NAME,
    "peak_rss_kib": INTEGER,
    "energy_mj_per_invoke": NUMBER,
    "start_c": NUMBER,
    "environment_id": NAME,
    "runtime": NAME,
}
LAUNCH: Columns = {
    "launch_id": TEXT,
    "round": INTEGER,
    "position": INTEGER,
    "attempt": INTEGER,
    "started_utc": TIME,
    "duration_s": NUMBER,
    "outcome": NAME,
    "usable": FLAG,
    "taints": TEXT,
    "failure_kind": NAME,
    "failure_message": TEXT,
    "sample_count": INTEGER,
    "invokes_per_sample": INTEGER,
    "p50_us": NUMBER,
    "p90_us": NUMBER,
    "p95_us": NUMBER,
    "mean_us": NUMBER,
    "min_us": NUMBER,
    "max_us": NUMBER,
    "p50_source": NAME,
    "p90_source": NAME,
    "resolution_us": NUMBER,
    "first_inference_us": NUMBER,
    "load_us": NUMBER,
    "allocate_us": NUMBER,
    "init_us": NUMBER,
    "input_copy_us": NUMBER,
    "output_copy_us": NUMBER,
    "cpu_us_per_invoke": NUMBER,
    "warmup_s": NUMBER,
    "steady": FLAG,
    "peak_rss_kib": INTEGER,
    "energy_mj_per_invoke": NUMBER,
    "delegation_requested": NAME,
    "delegation_verdict": NAME,
    "delegated_nodes": INTEGER,
    "total_nodes": INTEGER,
    "partitions": INTEGER,
    "environment_id": NAME,
}
# Of a launch, beside each of its samples.
SAMPLED = ("launch_id", "round", "attempt", "usable", "delegation_verdict")
OP: Columns = {
    "launch_id": NAME,
    "table": INTEGER,
    "subgraph": INTEGER,
    "table_name": NAME,
    "inside_delegate": FLAG,
    "while_preparing": FLAG,
    "kind": NAME,
    "type": NAME,
    "name": TEXT,
    "avg_us": NUMBER,
    "resolution_us": NUMBER,
    "first_us": NUMBER,
    "min_us": NUMBER,
    "max_us": NUMBER,
    "std_us": NUMBER,
    "times_called": NUMBER,
    "node": INTEGER,
    "mem_kib": NUMBER,
    "order": INTEGER,
    "profiled_runs": INTEGER,
    "profiled_invoke_us": NUMBER,
    "source": NAME,
    "complete": FLAG,
}
ACCURACY: Columns = {
    "kernels": NAME,
    "metric": NAME,
    "k": INTEGER,
    "higher_is_better": FLAG,
    "value": NUMBER,
    "samples": INTEGER,
    "holdout_samples": INTEGER,
    "holdout_sha256": NAME,
    "failure": TEXT,
}


def frame(columns: Columns, rows: Iterable[Sequence[Any]]) -> pd.DataFrame:
    """A frame of these columns, in their order, also of no rows."""
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    return pd.DataFrame(
        {
            name: _held(kind, given)
            for (name, kind), given in zip(columns.items(), values, strict=True)
        }
    )


def _held(kind: Column, values: Sequence[Any]) -> Any:
    match kind:
        case Column.NAME:
            return pd.Categorical([None if v is None else storable(v) for v in values])
        case Column.TEXT:
            texts = [None if v is None else storable(v) for v in values]
            return pd.array(texts, dtype="string")
        case Column.INTEGER:
            return pd.array(list(values), dtype="Int64")
        case Column.FLAG:
            return pd.array(list(values), dtype="boolean")
        case Column.NUMBER:
            return np.array([np.nan if v is None else v for v in values], dtype=np.float64)
        case Column.TIME:
            naive = np.array([_naive(v) for v in values], dtype="datetime64[us]")
            return pd.Series(naive).dt.tz_localize("UTC")


def storable(text: str) -> str:
    r"""The text with what UTF-8 has no code for (bytes of a file name) written \udcXX."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _naive(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC).replace(tzinfo=None)
